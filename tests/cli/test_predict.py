from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from xseg import load
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

LABELS = LabelMap(("road", "sky", "tree"))


@pytest.fixture(scope="module", autouse=True)
def converted(tmp_path_factory):
    """Keep converted networks out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run whose best epoch is a tiny model with random weights."""
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    run = tmp_path_factory.mktemp("run")
    save_bundle(Bundle(network.eval(), LABELS, Normalization()), run / "best")
    return run


@pytest.fixture
def images(tmp_path):
    """Good images of two sizes, two of one stem, and a truncated one."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, size in {"a.png": (40, 50), "a.jpg": (40, 50), "b.png": (48, 36), "sub/a.png": (40, 50)}.items():
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:900])
    return folder


def table(directory):
    with (directory / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_a_folder_with_a_broken_file_is_done_but_for_that_file(model, images, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(["predict", str(model), str(images), "--output_dir", str(out), "--overlay", "--batch_size", "2"])
    shown = capsys.readouterr()
    assert status == 1
    first, *errors = shown.err.splitlines()
    assert first.startswith("xseg predict: ")
    assert len(errors) == 1
    assert str(images / "broken.png") in errors[0]
    assert "predicted 4 of 5 images in" in shown.out
    assert "images/s), 1 failed" in shown.out
    for place in (out / "masks", out / "overlays", out / "predictions.csv"):
        assert str(place) in shown.out
    names = ["a.jpg", "a.png", "b", "sub/a"]
    for folder, suffix in (("masks", ".png"), ("overlays", ".jpg")):
        found = sorted(path.relative_to(out / folder).as_posix() for path in (out / folder).rglob("*.*g"))
        assert found == sorted(f"{name}{suffix}" for name in names)
    rows = table(out)
    assert len(rows) == 5
    assert rows[str(images / "broken.png")]["status"] == "failed"
    row = rows[str(images / "b.png")]
    assert (row["status"], row["width"], row["height"], row["mask"]) == ("ok", "36", "48", "masks/b.png")
    assert sum(json.loads(row["pixels"]).values()) == 36 * 48


def test_the_mask_is_what_python_gives(model, images, tmp_path):
    out = tmp_path / "out"
    options = ["--scales", "1", "1.5", "--flip", "--output_stride", "8", "--probabilities"]
    assert main(["predict", str(model / "best"), str(images / "b.png"), "--output_dir", str(out), *options]) == 0
    predictor = load(model, scales=(1, 1.5), flip=True, output_stride=8, backend="auto", precision="auto")
    expected = predictor(images / "b.png")
    np.testing.assert_array_equal(np.asarray(Image.open(out / "masks" / "b.png")), expected.mask)
    with np.load(out / "probabilities" / "b.npz") as stored:
        np.testing.assert_allclose(stored["probabilities"], expected.probabilities, atol=1e-3)


def test_the_background_is_clear_in_overlays_and_no_annotation(model, images, tmp_path):
    options = ["--alpha", "1", "--coco", "--device", "cpu"]  # alpha alone asks for overlays
    common = load(model)(images / "b.png").mask.ravel()[0]
    distance = {}
    for name in ("none", LABELS.names[common]):
        out = tmp_path / name
        line = ["predict", str(model), str(images / "b.png"), *options, "--background", name]
        assert main([*line, "--output_dir", str(out)]) == 0
        region = np.asarray(Image.open(out / "masks" / "b.png")) == common
        drawn = np.asarray(Image.open(out / "overlays" / "b.jpg"), np.int64)[: len(region)]
        distance[name] = np.abs(drawn - LABELS.colors[common]).mean(axis=2)[region].mean()
        categories = json.loads((out / "coco.json").read_text())["categories"]
        assert [category["name"] for category in categories] == [n for n in LABELS.names if n != name]
    tinted, clear = distance.values()
    assert clear > 2 * tinted, "noise instead of the colour"


def test_a_second_run_into_the_folder_of_images_does_not_predict_on_its_own_masks(model, images):
    (images / "broken.png").unlink()
    for _ in range(2):
        assert main(["predict", str(model), str(images), "--output_dir", str(images / "out")]) == 0
        assert len(table(images / "out")) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--overlays"], "unknown option --overlays; did you mean --overlay?"),
        (["--batch_size", "0"], "batch_size=0; expected 1 or more"),
        (["--device", "cuda:77"], "device='cuda:77'; expected a device of this machine"),
        (["--alpha", "2"], "alpha=2.0; expected 0 to 1"),
        (["--mask_values", "256"], "mask_values=256; expected one of 'index', '255', 'color', 'raw'"),
        (["--background", "skye"], "background 'skye'; expected one of road, sky, tree, none; did you mean sky?"),
        (["nowhere.png"], "nowhere.png does not exist"),
        (["*.nothing"], "*.nothing matches no image or video"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(model, images, tmp_path, capsys, change, message):
    out = tmp_path / "out"
    status = main(["predict", str(model), str(images), *change, "--output_dir", str(out)])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith(f"xseg predict: error: {message}")
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_model_that_is_not_there_or_damaged_is_one_line(model, images, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.json").write_bytes((model / "best" / "config.json").read_bytes())
    (damaged / "model.safetensors").write_bytes((model / "best" / "model.safetensors").read_bytes()[:5000])
    for source in (tmp_path / "nothing", damaged, images):
        assert main(["predict", str(source), str(images), "--output_dir", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(source) in error
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused(model, images, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["predict", str(model), str(images), "--output_dir", str(tmp_path / "out")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_interruption_leaves_the_table_of_what_is_done(model, images, tmp_path, monkeypatch):
    from xseg.predict.writer import PredictionWriter

    write = PredictionWriter.write

    def interrupted(self, source, result):
        if source.name == "sub/a":
            raise KeyboardInterrupt
        return write(self, source, result)

    monkeypatch.setattr(PredictionWriter, "write", interrupted)
    assert main(["predict", str(model), str(images), "--output_dir", str(tmp_path / "out")]) == 130
    assert len(table(tmp_path / "out")) == 4


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_the_help_imports_no_torch_and_shows_every_option(verb):
    code = (
        "import sys\nfrom xseg.cli import main\n"
        f"try:\n    main(['{verb}', '--help'])\n"
        "except SystemExit as left:\n    assert not left.code\n"
        "assert not {'torch', 'matplotlib', 'rich', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--output_dir", "--scales", "--flip", "--output_stride", "--device", "--precision", "--batch_size"):
        assert option in done.stdout
