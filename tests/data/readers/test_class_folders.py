"""Folders of classes: what is found, what is held out, and what is refused."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from xseg.data.options import ClassDataOptions
from xseg.data.readers.class_folders import list_classes
from xseg.errors import DataError


def read(root, *, seed=0, **changes):
    return list_classes(ClassDataOptions(root=str(root), **changes), seed=seed)


def test_classes_are_the_folders_sorted_and_images_know_theirs(folders):
    found = read(folders)
    assert found.classes == ("blue", "red")
    assert [record.name for record in found.records("val")] == [
        "val/blue/0.png",
        "val/blue/1.png",
        "val/red/0.png",
        "val/red/1.png",
    ]
    assert found.targets("val") == (0, 0, 1, 1)
    assert not found.held_out


def test_an_image_is_read_from_where_its_record_says(folders):
    found = read(folders)
    image = found.read(found.records("train")[-1]).image
    assert image.shape == (40, 44, 3)
    assert image[..., 0].mean() > 150  # the last one is red


def test_without_a_val_folder_a_share_of_every_class_is_held_out(folders):
    shutil.rmtree(folders / "val")
    found = read(folders, val_share=0.25)
    assert found.held_out
    assert found.targets("train") == (0, 0, 0, 1, 1, 1)
    assert found.targets("val") == (0, 1)
    names = {record.name for split in ("train", "val") for record in found.records(split)}
    assert len(names) == 8


def test_what_is_held_out_depends_on_the_seed_alone(folders):
    shutil.rmtree(folders / "val")
    for name in ("blue", "red"):
        for index in range(4, 20):
            shutil.copy(folders / "train" / name / "0.png", folders / "train" / name / f"{index}.png")
    assert read(folders, seed=3).files == read(folders, seed=3).files
    assert read(folders, seed=3).files["val"] != read(folders, seed=4).files["val"]


def test_classes_may_lie_in_the_root_itself(folders):
    found = read(folders / "train")
    assert found.classes == ("blue", "red")
    assert found.held_out


def test_folders_in_a_class_belong_to_it_and_other_files_are_passed_over(folders):
    inner = folders / "train" / "red" / "more"
    inner.mkdir()
    shutil.copy(folders / "train" / "red" / "0.png", inner / "9.PNG")
    (folders / "train" / "red" / "Thumbs.db").write_bytes(b"no image")
    (folders / "train" / "red" / ".hidden.png").write_bytes(b"no image")
    assert [record.name for record in read(folders).records("train")][-1] == "train/red/more/9.PNG"
    assert len(read(folders).records("train")) == 9


def test_an_empty_class_folder_is_named(folders):
    (folders / "train" / "green").mkdir()
    (folders / "train" / "green" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"class folder .*green holds no image \(notes.txt\)"):
        read(folders)


def test_one_class_is_too_few(folders):
    shutil.rmtree(folders / "train" / "red")
    with pytest.raises(DataError, match="has only 'blue'; expected one folder per class"):
        read(folders)


def test_images_without_class_folders_are_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "cat.jpg")
    with pytest.raises(DataError, match=r"no folder in it \(cat.jpg\)"):
        read(tmp_path)


def test_a_validation_class_that_training_lacks_is_refused(folders):
    shutil.copytree(folders / "val" / "red", folders / "val" / "green")
    with pytest.raises(DataError, match="val has the class 'green', which is missing in training"):
        read(folders)


def test_a_training_class_that_validation_lacks_is_allowed(folders):
    shutil.rmtree(folders / "val" / "red")
    assert read(folders).targets("val") == (0, 0)


def test_a_class_of_one_image_cannot_be_divided(folders):
    shutil.rmtree(folders / "val")
    for index in range(1, 4):
        (folders / "train" / "red" / f"{index}.png").unlink()
    with pytest.raises(DataError, match="class 'red' has one image"):
        read(folders)


@pytest.mark.parametrize("root", ["", "nowhere"])
def test_a_root_that_is_not_there_is_told(root):
    with pytest.raises(DataError, match="root"):
        read(root)


def test_validation_without_training_is_refused(folders):
    shutil.rmtree(folders / "train")
    with pytest.raises(DataError, match="val/ but no train/"):
        read(folders)


def test_a_split_that_is_not_there_is_told(folders):
    with pytest.raises(DataError, match="has no test split"):
        read(folders).records("test")


def test_leaving_out_every_image_of_a_class_is_refused(folders):
    found = read(folders)
    assert len(found.without({"train": ["train/red/0.png"]}).records("train")) == 7
    with pytest.raises(DataError, match="all images of class 'red'"):
        found.without({"train": [f"train/red/{index}.png" for index in range(4)]})
