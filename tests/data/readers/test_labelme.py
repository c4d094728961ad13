"""LabelMe's shapes are drawn as LabelMe draws them; others are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from replicas import write_labelme

from xseg.data.layout import LabelOptions, LayoutOptions, SplitOptions
from xseg.data.masks.labelme import shape_pixels
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.errors import ConfigError, DataError


@pytest.fixture
def labelme(tmp_path):
    return write_labelme(tmp_path / "set"), tmp_path / "set"


def with_layout(options, **layout):
    return create_reader(DataOptions(**{**options, "layout": LayoutOptions(**layout)}))


def test_without_a_list_the_labels_in_use_are_the_classes(labelme):
    options, root = labelme
    (root / "labels.txt").unlink()
    reader = with_layout(options)
    assert reader.labels.names == ("background", "cable", "plug", "wall")
    assert with_layout(options, labels=LabelOptions(background="")).labels.names == ("cable", "plug", "wall")


def test_a_label_that_is_no_class_is_told(labelme):
    options, _ = labelme
    reader = with_layout(options, labels=LabelOptions(classes=("background", "cable", "wall")))
    with pytest.raises(DataError, match=r"IMG_0000.json has the label 'plug'; expected background, cable, wall; add"):
        reader.read(reader.records("train")[0])


def test_images_without_a_json_are_not_labelled_and_a_json_without_image_is_told(labelme):
    options, root = labelme
    (root / "train" / "IMG_0000.json").unlink()
    assert [record.name for record in create_reader(DataOptions(**options)).records("train")] == ["IMG_0001"]
    (root / "train" / "IMG_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 1 JSON files of the train split have no image: .*IMG_0001.json"):
        create_reader(DataOptions(**options)).records("train")


def test_one_folder_is_divided_or_refused(labelme):
    options, root = labelme
    for path in sorted(root.glob("*/*")):
        path.rename(root / f"{path.parent.name}_{path.name}")
    for split in ("train", "val"):
        (root / split).rmdir()
    with pytest.raises(ConfigError, match=r"set layout.splits.fractions"):
        create_reader(DataOptions(**options))
    reader = with_layout(options, splits=SplitOptions(fractions=(0.5, 0.5, 0.0)))
    names = [record.name for split in ("train", "val") for record in reader.records(split)]
    assert sorted(names) == ["train_IMG_0000", "train_IMG_0001", "val_IMG_0000", "val_IMG_0001"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shape_type": "linestrip"}, r"shape 0 \(cable\): a linestrip of 4 points has no area"),
        ({"points": [[1, 1], [2, 2]]}, r"a polygon of 2 points has no area"),
        ({"points": [[1, "x"]]}, r"shape 0 \(cable\)"),
        ({"shape_type": "mask", "mask": "!"}, r"shape 0 \(cable\)"),
    ],
)
def test_a_shape_without_an_area_is_told(change, told, labelme):
    options, root = labelme
    path = root / "train" / "IMG_0000.json"
    content = json.loads(path.read_text())
    content["shapes"][0].update(change)
    path.write_text(json.dumps(content))
    reader = create_reader(DataOptions(**options))
    with pytest.raises(DataError, match=told):
        reader.read(reader.records("train")[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [("imageHeight", 10**30), ("imageHeight", -4), ("imageWidth", "wide"), ("points", [[10**400, 0], [1, 1], [2, 0]])],
)
def test_numbers_that_no_image_has_are_refused(key, value, labelme):
    options, root = labelme
    path = root / "train" / "IMG_0000.json"
    content = json.loads(path.read_text())
    (content["shapes"][0] if key == "points" else content)[key] = value
    path.write_text(json.dumps(content))
    reader = create_reader(DataOptions(**options))
    with pytest.raises(DataError, match=r"IMG_0000.json"):
        reader.read(reader.records("train")[0])


@pytest.mark.parametrize("text", ["[1, 2]", '{"shapes": [{"label": 1}]}', '{"shapes": '])
def test_a_json_that_is_not_labelmes_is_told(text, labelme):
    options, root = labelme
    (root / "train" / "IMG_0000.json").write_text(text)
    reader = create_reader(DataOptions(**options))
    with pytest.raises(DataError, match=r"IMG_0000.json is not (a LabelMe file|JSON)"):
        reader.read(reader.records("train")[0])


def test_circles_are_round():
    pixels = shape_pixels({"shape_type": "circle", "points": [[20, 15], [20, 25]]}, (40, 50))
    rows, columns = np.nonzero(pixels)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 25, 10, 30)
    assert abs(pixels.sum() - np.pi * 10.5**2) < 12
