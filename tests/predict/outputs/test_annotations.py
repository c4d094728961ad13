from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xseg.errors import DataError
from xseg.labels.label_map import LabelMap
from xseg.predict.outputs import annotations
from xseg.predict.outputs.annotations import CocoImage, coco_annotations, write_coco

tools = pytest.importorskip("pycocotools.mask")
from pycocotools.coco import COCO  # noqa: E402

LABELS = LabelMap(("wall", "Straße", "tree"), ignore_index=255)
MASKS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.sampled_from([0, 1, 2, 255])
)


def blobs(height, width, seed=0):
    patches = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (height // 7 + 1, width // 5 + 1))
    return patches.repeat(7, 0).repeat(5, 1)[:height, :width]


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_what_is_encoded_decodes_to_the_mask_with_its_area_and_box(mask):
    result = coco_annotations(mask, LABELS)
    assert [annotation["category_id"] - 1 for annotation in result] == [c for c in np.unique(mask) if c < 3]
    for annotation in result:
        region = mask == annotation["category_id"] - 1
        encoded = annotation["segmentation"]
        np.testing.assert_array_equal(tools.decode(encoded), region)
        assert annotation["area"] == tools.area(encoded) == region.sum()
        assert annotation["bbox"] == tools.toBbox(encoded).tolist()
        rows, columns = np.nonzero(region)
        assert annotation["bbox"][:2] == [columns.min(), rows.min()]
    json.dumps(result)


def write_geotiff(path, mask):
    rasterio = pytest.importorskip("rasterio")
    height, width = mask.shape
    settings = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", height=height, width=width, **settings) as dataset:
        dataset.write(mask, 1)


def test_a_geotiff_read_in_strips_gives_the_same(tmp_path, monkeypatch):
    mask = blobs(61, 83)
    write_geotiff(tmp_path / "m.tif", mask)
    monkeypatch.setattr(annotations, "STRIP_PIXELS", 61 * 10)
    striped, whole = coco_annotations(tmp_path / "m.tif", LABELS), coco_annotations(mask, LABELS)
    for one, other in zip(striped, whole, strict=True):
        np.testing.assert_array_equal(tools.decode(one["segmentation"]), tools.decode(other["segmentation"]))
        assert {**one, "segmentation": 0} == {**other, "segmentation": 0}


def test_the_file_opens_in_pycocotools_and_its_annotations_as_results(tmp_path):
    masks = [blobs(40, 50, seed) for seed in range(3)]
    images = (CocoImage(f"ü{number}.png", 40, 50, coco_annotations(mask, LABELS)) for number, mask in enumerate(masks))
    path = write_coco(images, tmp_path / "out" / "coco.json", LABELS)
    content = json.loads(path.read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO(str(path))
        results = data.loadRes(content["annotations"])
    assert [category["name"] for category in data.loadCats(data.getCatIds())] == list(LABELS.names)
    for dataset in (data, results):
        for image_id, mask in enumerate(masks, 1):
            assert dataset.imgs[image_id]["file_name"] == f"ü{image_id - 1}.png"
            rebuilt = np.full(mask.shape, 255, np.uint8)
            for annotation in dataset.loadAnns(dataset.getAnnIds(imgIds=[image_id])):
                rebuilt[dataset.annToMask(annotation) == 1] = annotation["category_id"] - 1
            np.testing.assert_array_equal(rebuilt, mask)


def test_a_mask_without_any_class_has_no_coco_annotations(tmp_path):
    assert coco_annotations(np.full((4, 5), 255, np.uint8), LABELS) == []
    path = write_coco([], tmp_path / "coco.json", LABELS)
    assert json.loads(path.read_text()) == {
        "categories": [{"id": 1, "name": "wall"}, {"id": 2, "name": "Straße"}, {"id": 3, "name": "tree"}],
        "annotations": [],
        "images": [],
    }


def test_the_background_has_neither_annotation_nor_category_unless_asked_for(tmp_path):
    mask = blobs(40, 50, 0)
    write_geotiff(tmp_path / "m.tif", mask)
    every = coco_annotations(mask, LABELS)
    labels = replace(LABELS, background="Straße")
    for source in (mask, tmp_path / "m.tif"):
        assert coco_annotations(source, labels) == [entry for entry in every if entry["category_id"] != 2]
    path = write_coco([], tmp_path / "coco.json", labels)
    assert [category["id"] for category in json.loads(path.read_text())["categories"]] == [1, 3]
    assert coco_annotations(mask, replace(labels, background="none")) == every


@pytest.mark.parametrize("shape", [(0, 4), (2, 3, 4)])
def test_what_is_no_mask_is_refused(shape):
    with pytest.raises(DataError, match="a mask of shape"):
        coco_annotations(np.zeros(shape, np.uint8), LABELS)


def test_a_file_that_is_no_geotiff_is_refused(tmp_path):
    pytest.importorskip("rasterio")
    (tmp_path / "m.tif").write_text("no mask")
    with pytest.raises(DataError, match=r"m.tif cannot be read.*expected a GeoTIFF"):
        coco_annotations(tmp_path / "m.tif", LABELS)
