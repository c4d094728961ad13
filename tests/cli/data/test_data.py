"""`xseg data`: findings for people and programs, statistics and preview, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from xseg.cli import main
from xseg.data.generated.scenes import LABELS, write_scenes

CROP = ["--data.crop", "[48,48]"]


@pytest.fixture
def street(tmp_path):
    """A sound folder data set of 64x96, and a configuration for it."""
    root = tmp_path / "street"
    write_scenes(root, counts=(8, 4, 3), size=(64, 96), seed=11)
    config = {"data": {"reader": "folder", "root": str(root), "crop": [48, 48]}, "model": {"encoder": "xception"}}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(config))
    return root


@pytest.fixture
def config(street):
    return ["--config", str(street.parent / "data.yaml"), "--workers", "0"]


def spoil(root):
    path = root / "train" / "masks" / "000002.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[3, 4:9] = 77
    Image.fromarray(mask).save(path)
    (root / "val" / "images" / "000001.png").unlink()


def test_a_sound_data_set_is_0_and_says_so(config, capsys):
    assert main(["data", "check", *config]) == 0
    shown = capsys.readouterr().out
    assert "train 8, val 4, test 3; 8 classes; 15 pairs in" in shown
    assert "no faults found" in shown


def test_findings_are_told_with_what_where_and_what_to_do(street, config, capsys):
    spoil(street)
    assert main(["data", "check", *config]) == 1
    shown = capsys.readouterr().out
    assert "error unknown-values (train)\n  masks with values that belong to no class: 1 of 8\n" in shown
    assert f"{street}/train/masks/000002.png: value 77 in 5 pixels, the first at row 3, column 4\n" in shown
    assert "warning mask-without-image (val)" in shown
    assert "to do: add the images or remove the masks; --write-fixed DIR writes a corrected copy" in shown
    assert "1 error, 1 warning, 0 notes" in shown


def test_programs_get_the_same_as_json(street, config, capsys):
    spoil(street)
    assert main(["data", "check", *config, "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert values["counts"] == {"error": 1, "warning": 1, "note": 0}
    assert values["splits"] == {"train": 8, "val": 4, "test": 3}
    assert [finding["check"] for finding in values["findings"]] == ["unknown-values", "mask-without-image"]
    assert values["findings"][0]["numbers"] == {"pixels": {"77": 5}}


def test_warnings_alone_are_no_failure(street, config):
    (street / "val" / "images" / "000001.png").unlink()
    assert main(["data", "check", *config]) == 0


def test_a_corrected_copy_is_written_beside_and_named(street, config, tmp_path, capsys):
    spoil(street)
    before = sorted(path for path in street.rglob("*"))
    target = tmp_path / "fixed"
    assert main(["data", "check", *config, "--write-fixed", str(target)]) == 1
    assert f"use it with: --data.root {target}" in capsys.readouterr().out
    assert sorted(path for path in street.rglob("*")) == before
    log = json.loads((target / "corrections.json").read_text())
    assert [entry["file"] for entry in log["left_out"]] == ["val/masks/000001.png"]
    assert main(["data", "check", *config, "--data.root", str(target), "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert [finding["check"] for finding in values["findings"]] == ["unknown-values"], "left to judgement"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: xseg data ACTION"),
        (["chekc"], "unknown action 'chekc'; expected one of check, stats, preview; did you mean check?"),
        (["check", "--data.rot", "x"], "unknown option --data.rot; did you mean --data.root?"),
        (["check"], "root is not set"),
        (["check", "--config", "nowhere.yaml"], "'nowhere.yaml' cannot be read"),
        (["check", "--workers", "-1"], "workers=-1; expected 0 or more"),
        (["check", "--data.reader", "scenes", "--write-fixed", "x"], "a corrected copy of this layout"),
        (["stats", "--data.root", "nowhere"], "nowhere does not exist"),
        (["preview", "--count", "0", "--data.reader", "scenes"], "count=0"),
        (["preview", "--alpha", "-1", "--data.reader", "scenes"], "alpha=-1.0; expected 0 to 1"),
        (["preview", "--background", "rod", "--data.reader", "scenes"], "background 'rod'; expected one of"),
        (
            ["preview", "--data.reader", "scenes", "--data.transforms", "[{name: Nothing}]"],
            "'Nothing' is not a transform",
        ),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = main(["data", *arguments])
    shown = capsys.readouterr()
    assert message in shown.out + shown.err
    assert status == (0 if not arguments else 2)
    assert shown.err.count("\n") == (1 if arguments else 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {rot: x}", "unknown option data.rot; did you mean data.root?"),
        ("data: {layout: {splits: {fraction: [1, 0, 0]}}}", "did you mean data.layout.splits.fractions?"),
        ("data: {layout: {spilts: {group: a}}}", "data.layout.spilts.group; did you mean data.layout.splits.group?"),
        ("data: {zzzzzz: 1, rot: x}", "unknown options data.rot, data.zzzzzz; did you mean data.root?"),
        ("data: {zzzzzz: 1}", "unknown option data.zzzzzz; --help lists the options"),
    ],
)
@pytest.mark.parametrize("verb", [["data", "check"], ["evaluate", "nowhere"]])
def test_a_mistyped_key_of_a_configuration_is_refused_with_the_nearest_name(verb, text, message, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(text)
    assert main([*verb, "--config", str(tmp_path / "a.yaml")]) == 2
    assert message in capsys.readouterr().err


def test_a_copy_into_the_data_set_is_refused_before_anything_is_read(street, config, capsys):
    assert main(["data", "check", *config, "--write-fixed", str(street / "fixed")]) == 2
    assert "the data set itself is never changed" in capsys.readouterr().err


def test_statistics_are_a_table_json_and_pictures(street, config, tmp_path, capsys):
    out = tmp_path / "stats"
    assert main(["data", "stats", *config, "--output_dir", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "pedestrian" in shown
    assert "train: 8 images, 0.00 % of the pixels ignored; height x width 64x96 (8)" in shown
    assert sorted(path.name for path in out.iterdir()) == ["classes.png", "sizes.png", "statistics.json"]
    with Image.open(out / "classes.png") as picture:
        assert np.asarray(picture).std() > 10
    assert main(["data", "stats", *config, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "statistics.json").read_text())
    masks = [np.asarray(Image.open(path)) for path in (street / "train" / "masks").iterdir()]
    assert printed["train"]["classes"]["sky"]["pixels"] == sum(int((mask == 0).sum()) for mask in masks)


def test_a_preview_is_a_page_and_contact_sheets(config, tmp_path, capsys):
    out = tmp_path / "preview"
    arguments = ["--output_dir", str(out), "--count", "3", "--variants", "2"]
    assert main(["data", "preview", *config, *arguments]) == 0
    assert f"page: {out / 'preview.html'}" in capsys.readouterr().out
    names = ["preview.html", "sheet_augmented.png", "sheet_test.png", "sheet_train.png", "sheet_val.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    page = (out / "preview.html").read_text("utf-8")
    assert page.count("<img") == 2 * 9 + 2
    for name in ("sky", "pedestrian", "000007", "epoch 2"):
        assert name in page


def test_a_preview_leaves_the_background_clear(config, tmp_path):
    style = ["--alpha", "1", "--count", "1", "--variants", "0"]
    sheets = {}
    for name in ("none", "sky", "road"):
        assert main(["data", "preview", *config, *style, "--background", name, "--output_dir", str(tmp_path)]) == 0
        sheets[name] = np.asarray(Image.open(tmp_path / "sheet_train.png"))
        page = (tmp_path / "preview.html").read_text("utf-8")
        for other in ("sky", "road"):
            assert (f"</i>{other}</span>" in page) == (other != name)
    counts = {
        name: (sheet == LABELS.colors[LABELS.names.index("sky")]).all(axis=2).sum() for name, sheet in sheets.items()
    }
    assert counts["none"] == counts["road"] > 0
    assert counts["sky"] == 0


@pytest.mark.parametrize("action", ["check", "stats", "preview"])
def test_help_is_quick_and_imports_no_torch(action):
    program = (
        "import sys; from xseg.cli import main\n"
        f"try: main(['data', {action!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'matplotlib', 'albumentations')))"
    )
    start = time.perf_counter()
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0
    assert "--data.root" in finished.stdout
    assert time.perf_counter() - start < 15, "a second on a machine that does nothing else"
