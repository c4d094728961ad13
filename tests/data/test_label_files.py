"""The classes come from options or from any of the files in which data sets say them."""

from __future__ import annotations

import pytest

from xseg.data.label_files import classes_of, read_labels
from xseg.data.layout import LabelOptions
from xseg.errors import ConfigError, DataError

ROAD, SKY = (128, 64, 128), (70, 130, 180)


@pytest.mark.parametrize(
    ("file", "content", "colored"),
    [
        ("classes.txt", "road\n\n# a comment\nnight sky\n", False),
        ("label_colors.txt", "128 64 128\t\troad\n70 130 180 night sky\n", True),
        ("class_dict.csv", "name, r, g, b\nroad, 128, 64, 128\nnight sky, 70, 130, 180\n", True),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\nnight sky:70,130,180::\n", True),
        ("labels.yaml", "names: [road, night sky]\ncolors: [[128, 64, 128], [70, 130, 180]]\n", True),
        ("names.json", '{"0": "road", "1": "night sky"}', False),
        ("names.csv", "\ufeffname\nroad\nnight sky\n", False),
    ],
)
def test_every_form_says_the_same_classes(file, content, colored, tmp_path):
    (tmp_path / file).write_text(content, encoding="utf-8")
    labels = classes_of(tmp_path, LabelOptions(file=file))
    assert labels.names == ("road", "night sky")
    assert (labels.colors == (ROAD, SKY)) == colored
    assert labels.raw_ids == (0, 1)


def test_the_first_known_file_is_found_and_options_win(tmp_path):
    (tmp_path / "labels.txt").write_text("z")
    assert classes_of(tmp_path, LabelOptions()).names == ("z",)
    (tmp_path / "classes.txt").write_text("a\nb")
    assert classes_of(tmp_path, LabelOptions()).names == ("a", "b")
    labels = classes_of(
        tmp_path, LabelOptions(classes=("c", "d"), raw_ids=(5, 9), ignored_raw_ids=(0,), ignore_index=77)
    )
    assert labels.train_ids() == {0: 77, 77: 77, 5: 0, 9: 1}


def test_a_class_whose_colour_is_ignored_is_none(tmp_path):
    (tmp_path / "label_colors.txt").write_text("1 2 3 road\n0 0 0 Void")
    assert read_labels(tmp_path / "label_colors.txt", LabelOptions(ignored_colors=((0, 0, 0),))).names == ("road",)
    assert read_labels(tmp_path / "label_colors.txt").names == ("road", "Void")


def test_numbers_of_a_json_are_raw_ids(tmp_path):
    (tmp_path / "id2label.json").write_text('{"7": "car", "3": "road"}')
    labels = read_labels(tmp_path / "id2label.json", LabelOptions(ignore_index=200))
    assert (labels.names, labels.raw_ids, labels.ignore_index) == (("road", "car"), (3, 7), 200)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("classes.txt", "", "is empty; expected one class per line"),
        ("label_colors.txt", "300 0 0 road", "colours"),
        ("class_dict.csv", "label,r,g,b\nroad,1,2,3", "has columns label, r, g, b; expected name, r, g, b"),
        ("class_dict.csv", "name,r,g,b\nroad,1,x,3", r"has colour \('1', 'x', '3'\)"),
        ("a.json", "[1, 2]", "is not a JSON file of numbers and names"),
        ("a.txt", "road\nroad", "class names used twice: road"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_name(file, content, told, tmp_path):
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        classes_of(tmp_path, LabelOptions(file=file))
    assert file in str(caught.value)


def test_colours_are_required_where_they_tell_the_classes(tmp_path):
    (tmp_path / "classes.txt").write_text("road")
    with pytest.raises(DataError, match="has names but no colours"):
        classes_of(tmp_path, LabelOptions(encoding="color"))
    with pytest.raises(ConfigError, match="with classes but without colors"):
        classes_of(tmp_path, LabelOptions(encoding="color", classes=("a",)))
