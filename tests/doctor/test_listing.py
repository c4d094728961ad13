"""The doctor lists all that a split holds: one fault hides no other, and one cause is one finding."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from faults import CROP, write_clean
from PIL import Image

from xseg.data.layout import FileOptions, LabelOptions, LayoutOptions, SplitOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.examination import examine, list_splits
from xseg.errors import DataError

LABELS = LabelOptions(classes=("background", "vessel"), encoding="binary")
DIVISION = SplitOptions(fractions=(0.6, 0.2, 0.2))


def findings(root, **layout):
    options = DataOptions(reader="folder", root=str(root), crop=CROP, layout=LayoutOptions(**layout))
    reader = create_reader(options)
    return {finding.check: finding for finding in examine(reader, options, list_splits(reader)).findings}


@pytest.fixture
def undivided(tmp_path):
    """Fifteen scenes in images/ and masks/, not divided into parts."""
    root, source = tmp_path / "street", write_clean(tmp_path / "source")
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            for path in (source / split / kind).iterdir():
                shutil.copy(path, root / kind / f"{split}_{path.name}")
    shutil.copy(source / "labels.yaml", root)
    return root


@pytest.fixture
def vessels(tmp_path):
    """Images and masks as the DRIVE data set names them."""
    rng = np.random.default_rng(0)
    for number in range(21, 41):
        for name, size in ((f"images/{number}_training.tif", (48, 64, 3)), (f"manual/{number}_manual1.gif", (48, 64))):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            pixels = (
                rng.integers(0, 256, size, np.uint8) if len(size) == 3 else 255 * rng.integers(0, 2, size, np.uint8)
            )
            Image.fromarray(pixels).save(tmp_path / name)
    files = FileOptions(images="images/{name}_training.tif", masks="manual/{name}_manual1.gif")
    return tmp_path, {"files": files, "labels": LABELS, "splits": DIVISION}


def test_an_image_without_a_mask_hides_no_other_finding_of_data_that_are_divided(undivided):
    layout = {"files": FileOptions(images="images", masks="masks"), "splits": DIVISION}
    assert not findings(undivided, **layout)
    (undivided / "masks" / "train_000002.png").unlink()
    path = undivided / "masks" / "train_000005.png"
    mask = np.array(Image.open(path))
    mask[:4] = 77
    Image.fromarray(mask).save(path)
    (undivided / "images" / ".hidden.png").touch()
    found = findings(undivided, **layout)
    assert set(found) == {"image-without-mask", "unknown-values", "hidden-files"}
    (place,) = found["image-without-mask"].places
    assert place.path == str(undivided / "images" / "train_000002.png")


def test_an_image_without_a_mask_stays_in_its_part(undivided):
    layout = {"files": FileOptions(images="images", masks="masks"), "splits": DIVISION}
    options = DataOptions(reader="folder", root=str(undivided), layout=LayoutOptions(**layout))
    before = list_splits(create_reader(options))
    name = before["val"].tasks[0].name
    (undivided / "masks" / f"{name}.png").unlink()
    after = list_splits(create_reader(options))
    assert {split: [task.name for task in found.tasks] for split, found in after.items()} == {
        split: [task.name for task in found.tasks] for split, found in before.items()
    }
    assert after["val"].tasks[0].mask is None


def test_the_mask_that_looks_like_a_missing_one_is_named(vessels):
    root, layout = vessels
    assert "image-without-mask" not in findings(root, **layout)
    (root / "manual" / "34_manual1.gif").rename(root / "manual" / "34manual1.gif")
    (root / "manual" / "35_manual1.gif").unlink()
    found = findings(root, **layout)
    assert "split-unlisted" not in found
    details = {place.path: place.detail for place in found["image-without-mask"].places}
    assert details[str(root / "images" / "34_training.tif")] == "34manual1.gif looks like its mask"
    assert details.get(str(root / "images" / "35_training.tif"), "") == ""
    reader = create_reader(DataOptions(reader="folder", root=str(root), layout=LayoutOptions(**layout)))
    with pytest.raises(DataError, match=r"2 of 20 images .* have no mask: .*rename 34manual1.gif"):
        reader.records("train")


def test_a_mask_that_looks_like_a_missing_one_is_one_finding(tmp_path):
    root = write_clean(tmp_path / "street")
    (root / "train" / "masks" / "000003.png").rename(root / "train" / "masks" / "3_mask.png")
    found = findings(root)
    assert set(found) == {"image-without-mask"}
    assert found["image-without-mask"].places[0].detail == "3_mask.png looks like its mask"


@pytest.mark.parametrize("fractions", [(), (0.6, 0.2, 0.2)])
@pytest.mark.parametrize("folders", [(), ("images", "masks"), ("train/images", "train/masks", "val", "test")])
def test_an_empty_folder_is_one_finding(folders, fractions, tmp_path):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    files = FileOptions(images="images", masks="masks") if fractions else FileOptions()
    found = findings(
        tmp_path, files=files, labels=LabelOptions(classes=("a", "b")), splits=SplitOptions(fractions=fractions)
    )
    (finding,) = found.values()
    assert finding.severity == "error"
    assert finding.split is None
