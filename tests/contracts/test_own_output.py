"""An output of predict that lives in a user's file, and nowhere in the package."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

OWN = '''
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from xseg.predict.outputs.output import Output


@dataclass(frozen=True)
class Shares(Output):
    """Share of each class, as text, and one table of all sources."""

    folder = "shares"
    suffixes = {"image": ".txt", "raster": ".txt", "video": ".txt"}
    summary = "shares.csv"
    summarized = frozenset({"image"})
    needs_probabilities = True

    digits: int = 3

    def write_image(self, prediction, path):
        assert prediction.probabilities.shape[0] == len(prediction.labels)
        path.write_text(self.text(prediction.mask, prediction.labels))

    def write_raster(self, raster, path):
        import rasterio

        with rasterio.open(raster.mask) as mask:
            path.write_text(self.text(mask.read(1), raster.labels))

    @contextmanager
    def stream_video(self, video, path):
        with path.open("w") as file:
            yield lambda image, mask: file.write(f"{image.shape[0]} " + self.text(mask, video.labels))

    def write_summary(self, masks, labels, path):
        path.write_text("".join(f"{mask.source},{mask.height},{mask.width}\\n" for mask in masks))

    def text(self, mask, labels):
        shares = np.bincount(mask.ravel(), minlength=len(labels)) / mask.size
        return " ".join(f"{name}={share:.{self.digits}f}" for name, share in zip(labels.names, shares)) + "\\n"


precise = Shares(digits=6)
'''


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    path = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(Bundle(network.eval(), LabelMap(("road", "sky", "tree")), Normalization()), path)
    return path


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A working directory with three images and the user's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def predict(model, *arguments):
    return main(["predict", str(model), *arguments, "--output_dir", "out", "--backend", "torch", "--tile", "64"])


def test_its_files_are_written_for_each_image_and_once_for_all(model, images, capsys):
    assert predict(model, "images", "--output", "own.py:Shares", "--overlay") == 0
    text = (images / "out" / "shares" / "b.txt").read_text()
    shares = {name: float(share) for name, share in (pair.split("=") for pair in text.split())}
    mask = np.asarray(Image.open(images / "out" / "masks" / "b.png"))
    assert shares == {
        name: round(float((mask == index).mean()), 3) for index, name in enumerate(("road", "sky", "tree"))
    }
    assert (images / "out" / "shares.csv").read_text().splitlines() == [f"images/{name}.png,40,50" for name in "abc"]
    assert len(list((images / "out" / "overlays").iterdir())) == 3
    assert "shares in out/shares" in capsys.readouterr().out


def test_an_instance_in_the_file_brings_its_own_options_and_other_options_are_another_run(model, images, capsys):
    assert predict(model, "images", "--output", "own.py:precise") == 0
    assert (
        "0.333333" in (images / "out/shares/a.txt").read_text() or len((images / "out/shares/a.txt").read_text()) > 40
    )
    described = json.loads((images / "out" / "run.json").read_text())
    assert described["output"] == {"Shares": {"digits": 6}}
    assert predict(model, "images", "--output", "own.py:Shares", "--resume") == 2
    assert "output={'Shares': {'digits': 6}}" in capsys.readouterr().err


def test_a_resumed_run_makes_its_missing_files_and_no_others(model, images):
    assert predict(model, "images", "--output", "own.py:Shares") == 0
    before = {path.name: path.stat().st_mtime_ns for path in (images / "out" / "masks").iterdir()}
    (images / "out" / "shares" / "b.txt").unlink()
    assert predict(model, "images", "--output", "own.py:Shares", "--resume") == 0
    assert (images / "out" / "shares" / "b.txt").is_file()
    after = {path.name: path.stat().st_mtime_ns for path in (images / "out" / "masks").iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["b.png"]


def test_it_is_written_for_rasters_and_videos_if_it_says_so(model, images):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "height": 90, "width": 80, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open("map.tif", "w", **profile, transform=rasterio.Affine(1, 0, 5, 0, -1, 9)) as dataset:
        dataset.write(np.full((3, 90, 80), 7, np.uint8))
    film = cv2.VideoWriter("film.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (0, 90, 200):
        film.write(np.full((48, 64, 3), level, np.uint8))
    film.release()
    assert predict(model, "map.tif", "film.avi", "images/a.png", "--output", "own.py:Shares") == 0
    assert (images / "out" / "shares" / "map.txt").read_text().startswith("road=")
    frames = (images / "out" / "shares" / "film.txt").read_text().splitlines()
    assert len(frames) == 3
    assert all(frame.startswith("48 road=") for frame in frames)
    assert (images / "out" / "shares.csv").read_text() == "images/a.png,40,50\n"


MISTAKES = {
    "def f(): pass": ("own.py:f", "expected a subclass of xseg.predict.outputs.output.Output"),
    "class Own: pass": ("own.py:Own", "expected a subclass of xseg.predict.outputs.output.Output"),
    "class Own(Output):\n    def __init__(self, level): pass": ("own.py:Own", "a class that needs no arguments"),
    "class Own(Output): folder = 'x'": ("own.py:Own", "output Own has no suffixes"),
    "class Own(Output): suffixes = {'image': '.txt'}": ("own.py:Own", "output Own has no folder"),
    "class Own(Output):\n    folder, suffixes = 'x', {'image': '.txt'}": ("own.py:Own", "Own has no write_image"),
    "class Own(Output):\n    folder, suffixes = 'x', {'film': '.txt'}": ("own.py:Own", "expected one of image, raster"),
    "class Own(Output):\n    folder, suffixes = 'masks', {'image': '.txt'}": ("own.py:Own", "'masks'; expected a"),
    "class Own(Output):\n    folder, suffixes = '../x', {'image': '.txt'}": ("own.py:Own", "expected an unused name"),
    "class Own(Output):\n    folder, suffixes = 'x', {'image': 'txt'}": ("own.py:Own", "the suffix 'txt'; expected"),
    "class Own(Output):\n    summary, summarized = 'a.txt', frozenset({'image'})": ("own.py:Own", "no write_summary"),
    "Other = 3": ("own.py:Own", "has no 'Own'"),
}  # fmt: skip


@pytest.mark.parametrize("content", MISTAKES)
def test_a_mistake_in_it_is_one_line_before_the_work_starts(model, images, capsys, content):
    (images / "own.py").write_text(f"from xseg.predict.outputs.output import Output\n{content}\n")
    path, message = MISTAKES[content]
    assert predict(model, "images", "--output", path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.splitlines()[-1].startswith("xseg predict: error: ")
    assert not (images / "out").exists()


def test_a_kind_of_source_that_it_does_not_write_is_refused_before_the_work_starts(model, images, capsys):
    (images / "own.py").write_text(OWN.replace(', "raster": ".txt", "video": ".txt"', ""))
    (images / "film.avi").write_bytes(b"never opened")
    assert predict(model, "images", "film.avi", "--output", "own.py:Shares") == 2
    assert "Shares cannot be written for film.avi" in capsys.readouterr().err
    assert not (images / "out").exists()


def test_what_it_raises_is_one_line_that_names_it_and_the_image(model, images, capsys):
    (images / "own.py").write_text(OWN.replace("assert prediction.probabilities", "1 / 0  # "))
    assert predict(model, "images/a.png", "--output", "own.py:Shares") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "output Shares raised ZeroDivisionError: division by zero for images/a.png" in error
    assert "--resume" in error
    assert not (images / "out" / "masks" / "a.png").exists()


def test_its_code_travels_to_machines_that_do_not_have_the_file(images, monkeypatch):
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    from xseg.predict.outputs.registry import load_output
    from xseg.predict.ray import _portable

    output = load_output("own.py:precise")
    content = cloudpickle.dumps(_portable((output,)))
    monkeypatch.delitem(sys.modules, type(output).__module__)
    (images / "own.py").unlink()
    (there,) = cloudpickle.loads(content)
    assert (there.folder, there.digits, there.suffixes) == ("shares", 6, output.suffixes)
