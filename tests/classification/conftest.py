"""Folders of classes that tests share."""

import numpy as np
import pytest
from PIL import Image

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
