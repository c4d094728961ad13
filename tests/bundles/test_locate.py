from __future__ import annotations

import json

import huggingface_hub
import pytest

from xseg.bundles.locate import locate_bundle, locate_classifier, locate_run
from xseg.errors import WeightsError


def make_bundle(directory):
    directory.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (directory / name).write_bytes(b"{}")
    return directory


def test_a_run_is_its_best_epoch_and_a_bundle_itself(tmp_path):
    run = make_bundle(tmp_path / "run" / "best").parent
    assert locate_bundle(run) == run / "best"
    assert locate_bundle(str(run / "best")) == run / "best"


def test_a_demos_folder_is_the_run_in_it(tmp_path):
    best = make_bundle(tmp_path / "demo" / "run" / "best")
    assert locate_run(tmp_path / "demo") == locate_run(tmp_path / "demo" / "run") == tmp_path / "demo" / "run"
    assert locate_bundle(tmp_path / "demo") == best
    assert locate_run(best) is None
    assert locate_run("owner/name") is None


def test_a_folder_that_is_neither_says_what_it_lacks(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"has no best/ and no model\.safetensors"):
        locate_bundle(bundle)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"model\.pth is a file"):
        locate_bundle(tmp_path / "model.pth")


def test_a_hub_id_fetches_the_two_files_and_no_others(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repo_id, *, allow_patterns, **_):
        asked.append((repo_id, allow_patterns))
        return str(make_bundle(tmp_path / "cache"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert locate_bundle("owner/name") == tmp_path / "cache"
    assert asked == [("owner/name", ["config.json", "model.safetensors"])]


def test_what_the_hub_says_becomes_one_line(monkeypatch):
    def snapshot_download(repo_id, *, allow_patterns, **_):
        raise OSError("401 Client Error.\n\nRepository Not Found\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(WeightsError, match=r"owner/name is not a local directory.*401 Client Error") as caught:
        locate_bundle("owner/name")
    assert "\n" not in str(caught.value)
    assert "and more" not in str(caught.value)


def test_a_hub_repository_of_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(WeightsError, match=r"owner/name on the Hugging Face Hub lacks config\.json"):
        locate_bundle("owner/name")


@pytest.mark.parametrize("source", ["runs/camvit", "a/b/c", "../name", "C:\\runs", "name"])
def test_a_mistyped_path_never_asks_the_hub(source, tmp_path, monkeypatch):
    def snapshot_download(*_, **__):
        pytest.fail("asked the Hub")

    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(WeightsError, match="does not exist"):
        locate_bundle(source)


@pytest.mark.parametrize("said", [{"task": "classification"}, {"kind": "classifier"}])
def test_a_classifier_is_found_by_its_run_its_bundle_or_its_weights(tmp_path, said):
    best = make_bundle(tmp_path / "run" / "best")
    (best / "config.json").write_text(json.dumps({"format": 1, **said}))
    assert [locate_classifier(path) for path in (best.parent, best, best / "model.safetensors")] == [best] * 3


@pytest.mark.parametrize("said", ['{"format": 1}', '{"format": 99, "task": "classification"}', "[]", "{", None])
def test_what_is_no_classifier_is_not_found(tmp_path, said):
    best = make_bundle(tmp_path / "best")
    if said is None:
        (best / "config.json").unlink()
    else:
        (best / "config.json").write_text(said)
    assert locate_classifier(tmp_path) is None
