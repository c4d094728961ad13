"""Small data sets in files, which tests of the data package share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xseg.data.generated.scenes import write_scenes

Write = Callable[..., Path]


@pytest.fixture
def scenes_root(tmp_path: Path) -> Path:
    """A folder data set: 4 train, 3 val and 2 test scenes of 40x56."""
    root = tmp_path / "street"
    write_scenes(root, counts=(4, 3, 2), size=(40, 56), seed=3)
    return root


@pytest.fixture
def camvid_root(tmp_path: Path) -> Path:
    """A data set in CamVid's layout: 6 train and 3 val pairs of 24x32 with the numbers 0 to 11."""
    root = tmp_path / "camvid"
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for index in range(count):
            save(rng.integers(0, 256, (24, 32, 3), np.uint8), root / split / f"{index}.png")
            save(rng.integers(0, 12, (24, 32), np.uint8), root / f"{split}annot" / f"{index}.png")
    return root


def save(array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture(name="save")
def save_fixture() -> Write:
    """The function that writes an array as an image file, making its folder."""
    return save


TINT = {"blue": (20, 40, 220), "red": (220, 40, 20), "green": (30, 200, 40)}


def write_folders(root, *, train=4, val=2, classes=("blue", "red"), size=(40, 44)):
    """Write pictures of one tint per class, no two alike."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name in classes if count else ():
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                noise = rng.integers(-20, 20, (*size, 3))
                pixels = np.clip(np.array(TINT[name]) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def make_folders():
    """Return the function that writes folders of classes."""
    return write_folders


@pytest.fixture
def folders(tmp_path):
    """Two classes, four training and two validation pictures of each."""
    return write_folders(tmp_path / "data")
