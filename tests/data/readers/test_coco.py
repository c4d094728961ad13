"""COCO's JSON: parsed once, drawn as pycocotools draws, and told where it is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from replicas import write_coco, write_coco_panoptic

from xseg.data.layout import LabelOptions, LayoutOptions
from xseg.data.masks import coco_json
from xseg.data.masks.coco import unpacked_runs
from xseg.data.masks.coco_json import categories_of, load_coco
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.errors import ConfigError, DataError


@pytest.fixture
def coco(tmp_path):
    """A function that changes the JSON of a replica and returns its reader."""
    options = write_coco(tmp_path / "coco")
    path = tmp_path / "coco" / "annotations" / "instances_train2017.json"

    def changed(change):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return create_reader(DataOptions(**options))

    changed.options, changed.path = options, path
    return changed


def test_a_file_is_parsed_once_until_it_changes(coco, monkeypatch):
    calls = []
    parse = json.load
    monkeypatch.setattr(coco_json.json, "load", lambda file: calls.append(file.name) or parse(file))
    reader = create_reader(DataOptions(**coco.options))
    for record in reader.records("train") * 3:
        reader.read(record)
    assert len(calls) == 1
    coco(lambda content: content["images"].pop())
    assert len(reader.records("train")) == 1
    assert len(calls) == 2


def test_polygons_are_drawn_as_pycocotools_draws_them_in_the_whole_image(coco):
    from pycocotools import mask as rle

    rng = np.random.default_rng(0)
    height, width = 60, 84
    for trial in range(20):
        count = int(rng.integers(3, 9))
        polygon = (rng.random((count, 2)) * (width + 20, height + 20) - 10).round(2).ravel().tolist()

        def one_object(content, polygon=polygon):
            shape = {"id": 1, "image_id": 9, "category_id": 3, "segmentation": [polygon], "iscrowd": 0}
            content["annotations"] = [shape]

        reader = coco(one_object)
        expected = rle.decode(rle.merge(rle.frPyObjects([polygon], height, width)))
        drawn = reader.read(reader.records("train")[0]).mask
        assert np.array_equal(drawn == 2, expected.astype(bool)), trial


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_run_lengths_are_unpacked_as_pycocotools_packs_them(seed, share):
    from pycocotools import mask as rle

    mask = np.random.default_rng(seed).random((9, 13)) < share
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    counts = unpacked_runs(packed)
    assert counts.sum() == mask.size
    assert np.array_equal(np.repeat(np.arange(len(counts)) % 2, counts).reshape(13, 9).T, mask)


def test_without_a_background_uncovered_pixels_are_ignored(coco):
    layout = LayoutOptions(labels=LabelOptions(background=""))
    reader = create_reader(DataOptions(**{**coco.options, "layout": layout}))
    assert reader.labels.names == ("person", "car", "dog")
    mask = reader.read(reader.records("train")[0]).mask
    assert mask[0, 0] == 255
    assert mask[10, 8] == 0


def test_an_image_without_objects_is_all_background(coco):
    reader = coco(lambda content: content["annotations"].clear())
    assert not reader.read(reader.records("train")[0]).mask.any()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.pop("annotations"), r"not in COCO's format \(lacks 'annotations'\)"),
        (lambda content: content["annotations"][0].update(category_id=77), r"not in COCO's format \(lacks 77\)"),
        (lambda content: content["categories"].append({"id": 99, "name": "dog"}), "class names used twice: dog"),
        (lambda content: content["images"].append(dict(content["images"][0], id=5)), "the same name"),
        (lambda content: content["images"][0].update(file_name="x.jpg"), r"1 of 2 files .* are missing: x.jpg"),
        (lambda content: content["annotations"][0].update(segmentation=[]), "has an object without a shape"),
        (lambda content: content["images"][0].update(height=61), "5040 pixels for 60x84; expected 5124 for 61x84"),
        (
            lambda content: content["annotations"][0].update(segmentation=[[1e12, 0, 5, 5, 9, 9]]),
            r"point \[1000000000000",
        ),
        (lambda content: content["annotations"][0].update(segmentation=[[float("nan")] * 6]), r"point \[nan, nan\]"),
        (lambda content: content["annotations"][2]["segmentation"].update(counts="0"), "run lengths of 0 pixels"),
        (lambda content: content["annotations"][3]["segmentation"].update(counts=[9, -9]), "run lengths of 0 pixels"),
        (lambda content: content["annotations"][3]["segmentation"].update(counts=["a"]), "not in COCO's format"),
        (lambda content: content["annotations"][3]["segmentation"].update(counts=[2**70]), "not in COCO's format"),
        (lambda content: content["annotations"][3]["segmentation"].update(counts=[2**62] * 4), "run lengths of"),
        (lambda content: content["annotations"][0].update(segmentation=[[10**400] * 6]), "not in COCO's format"),
        (lambda content: content["images"][0].update(height=10**30), "not in COCO's format"),
        (lambda content: content["images"][0].update(height=-1), "not in COCO's format"),
    ],
)
def test_what_is_wrong_with_a_json_is_told(change, told, coco):
    def read_all():
        reader = coco(change)
        return [reader.read(record) for record in reader.records("train")]

    with pytest.raises(DataError, match=told):
        read_all()


def test_a_file_that_is_no_json_and_a_missing_one_are_told(tmp_path):
    with pytest.raises(DataError, match=r"a.json cannot be read \(No such file"):
        load_coco(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"images": [')
    with pytest.raises(DataError, match=r"a.json is not in COCO's format"):
        load_coco(tmp_path / "a.json")


def test_a_category_that_is_the_background_is_not_doubled(tmp_path):
    categories = [{"id": 2, "name": "car"}, {"id": 0, "name": "background"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    assert categories_of(tmp_path / "a.json", "background", 255).names == ("background", "car")
    assert categories_of(tmp_path / "a.json", "nothing", 255).names == ("nothing", "background", "car")


def test_a_segment_that_the_json_does_not_tell_is_told_with_its_place(tmp_path):
    reader = create_reader(DataOptions(**write_coco_panoptic(tmp_path / "coco")))
    assert reader.labels.colors[0] == (220, 20, 60)
    record = reader.records("train")[0]
    colors = np.array(Image.open(record.mask))
    colors[7, 9] = (5, 1, 0)
    Image.fromarray(colors).save(record.mask)
    with pytest.raises(DataError, match=r"has segment 261 at row 7, column 9, which is not in .*"):
        reader.read(record)


@pytest.mark.parametrize("number", [2**24, 2**32, 2**70, -1])
def test_a_segment_whose_number_is_no_colour_is_refused(number, tmp_path):
    options = DataOptions(**write_coco_panoptic(tmp_path / "coco"))
    path = tmp_path / "coco" / "annotations" / "panoptic_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["id"] = number
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"not in COCO's format .*segment {number}"):
        create_reader(options)


def test_an_unknown_variant_is_told(coco):
    with pytest.raises(ConfigError, match=r"reader 'coco': layout\.variant 'panoptik'; expected one of instances"):
        create_reader(DataOptions(**{**coco.options, "layout": LayoutOptions(variant="panoptik")}))
