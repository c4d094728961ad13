"""The look at the images before work begins."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from xseg.data.options import ClassDataOptions
from xseg.data.readers.class_folders import list_classes
from xseg.doctor.quick_look import look_at_classes
from xseg.errors import DataError


def look(root, check="auto", **changes):
    return look_at_classes(list_classes(ClassDataOptions(root=str(root), **changes)), check)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_sound_images_are_normalised_to_minus_one_and_one(folders):
    found = look(folders)
    assert not found.broken
    assert found.normalization.maximum == 255


def test_a_truncated_image_is_found_where_it_is_decoded(folders):
    truncate(folders / "val" / "red" / "1.png")
    found = look(folders)
    assert [*found.broken] == ["val"]
    assert [*found.broken["val"]] == ["val/red/1.png"]
    assert not look(folders, "headers").broken
    assert not look(folders, "none").broken


@pytest.mark.parametrize("check", ["pixels", "headers"])
def test_what_is_no_image_is_found(folders, check):
    (folders / "train" / "red" / "zz.jpg").write_text("not a picture")
    (folders / "train" / "red" / "empty.jpg").touch()
    found = look(folders, check)
    assert set(found.broken["train"]) == {"train/red/zz.jpg", "train/red/empty.jpg"}
    summary = found.summary()
    assert summary.startswith("2 broken images, the first: ")
    assert "then train/red/" in summary
    assert "\n" not in summary


def test_odd_but_whole_images_are_sound(folders):
    red = folders / "train" / "red"
    picture = Image.open(red / "0.png")
    picture.convert("CMYK").save(red / "cmyk.jpg")
    picture.convert("P").save(red / "palette.gif")
    picture.convert("L").save(red / "grey.png")
    picture.convert("RGBA").save(red / "alpha.webp")
    exif = Image.Exif()
    exif[274] = 6
    picture.save(red / "turned.jpg", exif=exif)
    found = list_classes(ClassDataOptions(root=str(folders)))
    assert not look_at_classes(found, "pixels").broken
    shapes = {record.image.name: found.read(record).image.shape for record in found.records("train")}
    assert shapes["turned.jpg"] == (44, 40, 3)
    assert shapes["cmyk.jpg"] == shapes["palette.gif"] == shapes["grey.png"] == shapes["alpha.webp"] == (40, 44, 3)


def test_an_image_of_another_depth_is_found(folders):
    deep = np.full((40, 44), 40_000, np.uint16)
    Image.fromarray(deep).save(folders / "train" / "red" / "deep.png")
    broken = look(folders).broken["train"]["train/red/deep.png"]
    assert "uint16" in str(broken)
    assert "255" in str(broken)


def test_a_data_set_of_16_bit_images_is_normalised_by_its_own_range(folders):
    for path in folders.rglob("*.png"):
        Image.fromarray(np.full((40, 44), 40_000, np.uint16)).save(path)
    found = look(folders)
    assert not found.broken
    assert found.normalization.maximum == 65_535


def test_nothing_but_broken_images_is_refused(folders):
    for path in (folders / "train").rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"no training image of .* can be read"):
        look(folders)
