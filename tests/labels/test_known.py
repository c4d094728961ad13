"""The tables of known data sets agree with what their authors publish."""

import pytest

from xseg.labels import known as label_sets
from xseg.labels.label_map import LabelMap

SETS = {name: value for name, value in vars(label_sets).items() if isinstance(value, LabelMap)}


@pytest.mark.parametrize(
    ("name", "classes", "number", "meaning", "color"),
    [
        ("VOC", 21, 15, "person", (192, 128, 128)),
        ("CITYSCAPES", 19, 26, "car", (0, 0, 142)),
        ("ADE20K", 150, 150, "flag", (92, 0, 255)),
        ("COCO_STUFF", 171, 181, "wood", None),
        ("COCO_STUFF_ONLY", 92, 183, "other", None),
        ("CAMVID", 11, 8, "car", (64, 0, 128)),
        ("CAMVID32", 31, 17, "Road", (128, 64, 128)),
        ("LOVEDA", 7, 7, "agriculture", (255, 195, 128)),
        ("ISPRS", 6, 4, "car", (255, 255, 0)),
        ("PET", 2, 1, "pet", None),
        ("PET_WITH_BORDER", 3, 3, "border", None),
    ],
)
def test_a_set_has_its_classes_numbers_and_colours(name, classes, number, meaning, color):
    labels = SETS[name]
    place = labels.train_ids()[number]
    assert len(labels) == classes
    assert labels.names[place] == meaning
    assert color is None or labels.colors[place] == color


def test_every_set_is_covered_and_its_colours_tell_its_classes_apart():
    assert len(SETS) == 11
    for name, labels in SETS.items():
        if not name.startswith(("COCO", "ADE")):  # so many colours are not all apart in the benchmark's own table
            assert len(set(labels.colors)) == len(labels), name


def test_numbers_that_mean_nothing_are_ignored():
    assert label_sets.CITYSCAPES.train_ids()[3] == label_sets.ADE20K.train_ids()[0] == 255
    assert label_sets.PET.train_ids()[3] == label_sets.LOVEDA.train_ids()[0] == 255
    unused = [number - 1 for number in label_sets.COCO_UNUSED_IDS]
    assert {label_sets.COCO_STUFF.train_ids()[number] for number in unused} == {255}
