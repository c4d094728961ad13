"""Patterns find files, and say what an image and its mask have in common."""

from __future__ import annotations

import pytest

from xseg.data.patterns import FolderListing, find_files, split_pattern
from xseg.errors import DataError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_patterns_split_where_the_glob_begins():
    assert [str(part) for part in split_pattern("a/b")] == ["a/b", "**/*"]
    assert [str(part) for part in split_pattern("a/*/c.png")] == ["a", "*/c.png"]
    assert [str(part) for part in split_pattern("*.png")] == [".", "*.png"]
    assert [str(part) for part in split_pattern("a/{name}/b.png")] == ["a", "{name}/b.png"]


@pytest.mark.parametrize(
    ("pattern", "file", "name"),
    [
        ("a", "a/b/c.png", "b/c"),
        ("a/{name}_L.png", "a/x.y_L.png", "x.y"),
        ("a/*/img/{name}.png", "a/Rural/img/7.png", "Rural/7"),
        ("a/**/{name}_gt.tif", "a/b/c/9_gt.tif", "b/c/9"),
        ("a/**/{name}_gt.tif", "a/9_gt.tif", "9"),
        ("{name}/images/*.png", "case 3/images/0.png", "case 3"),
        ("[T]rain/{name}.png", "Train/5.png", "Train/5"),
        ("a/[!b]?/{name}.png", "a/c1/5.png", "c1/5"),
    ],
)
def test_the_name_is_what_stands_for_it_behind_the_folders_of_wildcards(pattern, file, name, tmp_path):
    touch(tmp_path, file)
    assert find_files(tmp_path, pattern, "train") == {name: tmp_path / file}


def test_hidden_files_and_others_than_images_are_left_out(tmp_path):
    touch(tmp_path, "a/._1.png", "a/1.png", "a/1.txt", "a/Thumbs.db", "a/.ipynb_checkpoints/1-checkpoint.png")
    assert list(find_files(tmp_path, "a", "train")) == ["1"]


def test_a_file_per_class_is_paired_by_name(tmp_path):
    touch(tmp_path, "i/1.jpg", "i/2.jpg", "m/car/1.png", "m/car/2.png", "m/sky/2.png")
    listing = FolderListing(tmp_path, "i/{name}.jpg", "m/{class}/{name}.png", classes=("sky", "car"))
    one, two = listing("train")
    assert one.parts == (None, tmp_path / "m/car/1.png")
    assert one.mask == tmp_path / "m/car/1.png"
    assert two.parts == (tmp_path / "m/sky/2.png", tmp_path / "m/car/2.png")
    touch(tmp_path, "i/3.jpg")
    with pytest.raises(DataError, match=r"^1 of 3 images of the train split have no mask: .*3.jpg"):
        listing("train")
    with pytest.raises(DataError, match="matches no mask of the classes tree"):
        FolderListing(tmp_path, "i", "m/{class}/{name}.png", classes=("tree",))("train")


def test_masks_may_be_kept_back(tmp_path):
    touch(tmp_path, "i/1.jpg")
    listing = FolderListing(tmp_path, "i", "m", optional=("test",))
    (record,) = listing("test")
    assert record.mask is None
    with pytest.raises(DataError, match="m does not exist"):
        listing("train")


def test_masks_beside_images_are_no_images_whichever_name_is_longer(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png", "b.png", "b_mask.png", "c_rgb.png", "c.png")
    found = FolderListing(tmp_path, "{name}.png", "{name}_mask.png", optional=("train",)).find_images("train")
    assert list(found) == ["a", "b", "c", "c_rgb"]
    found = FolderListing(tmp_path, "{name}_rgb.png", "{name}.png").find_images("train")
    assert found == {"c": tmp_path / "c_rgb.png"}
    touch(tmp_path, "n.png", "n_car.png", "n_sky.png")
    found = FolderListing(tmp_path, "n*.png", "{name}_{class}.png", classes=("sky", "car")).find_images("train")
    assert list(found) == ["n"]
