from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.errors import ConfigError, DataError
from xseg.labels.label_map import LabelMap
from xseg.predict.outputs import geojson, outlining
from xseg.predict.outputs.geojson import PolygonSummary, write_polygons

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
from rasterio.features import rasterize  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from shapely.geometry import shape  # noqa: E402

LABELS = LabelMap(("water", "forest", "field"))


def blobs(height=90, width=110, seed=0, classes=3):
    """Smooth regions of every class, some of them with holes, and a corner that is no class."""
    noise = np.random.default_rng(seed).random((height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * np.exp(-((frequency * 20) ** 2)), s=(height, width))
    mask = np.digitize(smooth, np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1])).astype(np.uint8)
    mask[:12, :9] = 255
    return mask


def features(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return [(shape(feature["geometry"]), feature["properties"]) for feature in content["features"]], content


def burnt(found, size, **options):
    """Turn polygons into a mask again."""
    pairs = [(outline, properties["class_id"]) for outline, properties in found]
    return rasterize(pairs, size, fill=255, dtype=np.uint8, **options)


@pytest.mark.parametrize("block", [2048, 32, 25])
def test_without_tolerance_the_outlines_are_the_pixels(tmp_path, monkeypatch, block):
    monkeypatch.setattr(geojson, "BLOCK", block)
    mask = blobs()
    summary = write_polygons(mask, tmp_path / "m.geojson", LABELS, tolerance=0)
    found, content = features(tmp_path / "m.geojson")
    np.testing.assert_array_equal(burnt(found, mask.shape), mask)
    assert summary == PolygonSummary(len(found), "px2", 0)
    assert "crs" not in content
    for outline, properties in found:
        assert outline.is_valid
        assert properties["area"] == outline.area
        assert properties["class"] == LABELS.names[properties["class_id"]]


@pytest.mark.parametrize("block", [2048, 32])
def test_a_tolerance_makes_outlines_simple_and_leaves_neither_gap_nor_overlap(tmp_path, monkeypatch, block):
    monkeypatch.setattr(geojson, "BLOCK", block)
    mask = blobs()
    for tolerance in (0, 1.5):
        write_polygons(mask, tmp_path / f"{tolerance}.geojson", LABELS, tolerance=tolerance)
    exact, simple = (features(tmp_path / f"{tolerance}.geojson")[0] for tolerance in (0, 1.5))
    corners = [sum(shapely.get_num_coordinates(outline) for outline, _ in found) for found in (exact, simple)]
    assert corners[1] < 0.6 * corners[0]
    outlines = [outline for outline, _ in simple]
    assert all(outline.is_valid for outline in outlines)
    together = shapely.union_all(outlines)
    assert sum(outline.area for outline in outlines) == pytest.approx(together.area)
    hole = shapely.box(9, 12, 110, 90)
    assert hole.difference(together).area == pytest.approx(0)
    for class_id in range(3):
        area = sum(properties["area"] for _, properties in simple if properties["class_id"] == class_id)
        assert area == pytest.approx((mask == class_id).sum(), rel=0.02)
    assert (burnt(simple, mask.shape) != mask).mean() < 0.02


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 20), st.sampled_from([0.0, 1.0]))
def test_blocks_of_any_size_give_regions_as_connected_as_the_whole(seed, block, tolerance):
    import tempfile
    from pathlib import Path

    mask = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (17, 23), p=[0.5, 0.4, 0.1])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "m.geojson")
        whole = write_polygons(mask, path, LABELS, tolerance=tolerance)
        patch.setattr(geojson, "BLOCK", block)
        parts = write_polygons(mask, path, LABELS, tolerance=tolerance)
        found, _ = features(path)
    assert parts == whole
    if not tolerance:
        np.testing.assert_array_equal(burnt(found, mask.shape), mask)


def test_holes_are_holes(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:10, 6:12] = 1
    mask[6:8, 7:9] = 255
    write_polygons(mask, tmp_path / "m.geojson", LABELS, tolerance=0)
    (water, forest), _ = features(tmp_path / "m.geojson")
    if water[1]["class"] == "forest":
        water, forest = forest, water
    assert water[0].equals(shapely.Polygon(shapely.box(0, 0, 20, 20).exterior, [shapely.box(6, 5, 12, 10).exterior]))
    assert forest[0].equals(shapely.Polygon(shapely.box(6, 5, 12, 10).exterior, [shapely.box(7, 6, 9, 8).exterior]))
    assert shapely.get_num_coordinates(water[0]) == 10
    assert forest[1]["area"] == 30 - 4


@pytest.mark.parametrize("block", [2048, 25])
def test_the_background_is_left_out_unless_asked_for(tmp_path, monkeypatch, block):
    """The polygons of the other classes are those beside it."""
    monkeypatch.setattr(geojson, "BLOCK", block)
    mask = blobs()
    for name in ("forest", "none"):
        labels = replace(LABELS, background=name)
        write_polygons(mask, tmp_path / f"{name}.geojson", labels)
    few, every = (features(tmp_path / f"{name}.geojson")[0] for name in ("forest", "none"))
    assert {properties["class"] for _, properties in few} == {"water", "field"}
    assert {properties["class"] for _, properties in every} == set(LABELS.names)
    others = [outline.wkt for outline, properties in every if properties["class"] != "forest"]
    assert sorted(outline.wkt for outline, _ in few) == sorted(others)


def write_mask(path, mask, **place):
    with rasterio.open(
        path, "w", driver="GTiff", height=mask.shape[0], width=mask.shape[1], count=1, dtype=mask.dtype, **place
    ) as dataset:
        dataset.write(mask, 1)
    return path


def test_a_geotiff_is_outlined_in_its_coordinates_with_areas_in_square_metres(tmp_path):
    mask = blobs()
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_700_000, 0.5, 0.5)}
    summary = write_polygons(write_mask(tmp_path / "m.tif", mask, **place), tmp_path / "m.geojson", LABELS, tolerance=0)
    found, content = features(tmp_path / "m.geojson")
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    assert summary.area_unit == "m2"
    np.testing.assert_array_equal(burnt(found, mask.shape, transform=place["transform"]), mask)
    total = sum(properties["area"] for _, properties in found)
    assert total == pytest.approx((mask != 255).sum() * 0.25)
    assert all(shapely.is_ccw(outline.exterior) for outline, _ in found)


def test_feet_become_square_metres_and_degrees_stay_pixels(tmp_path):
    mask = np.ones((10, 10), np.uint8)
    feet = {"crs": "EPSG:2263", "transform": from_origin(1000, 1000, 10, 10)}
    degrees = {"crs": "EPSG:4326", "transform": from_origin(10, 50, 1e-5, 1e-5)}
    for place, unit, area in ((feet, "m2", 10_000 * 0.3048006096**2), (degrees, "px2", 100)):
        path = write_mask(tmp_path / f"{unit}.tif", mask, **place)
        write_polygons(path, tmp_path / f"{unit}.geojson", LABELS)
        ((outline, properties),), _ = features(tmp_path / f"{unit}.geojson")
        assert properties["area_unit"] == unit
        assert properties["area"] == pytest.approx(area, rel=1e-5)
    assert outline.bounds == pytest.approx((10, 49.9999, 10.0001, 50), abs=1e-9)


def test_a_region_that_grows_too_large_is_cut_at_a_seam_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(geojson, "BLOCK", 20)
    monkeypatch.setattr(outlining, "MAX_WAITING", 10)
    mask = np.ones((60, 40), np.uint8)
    summary = write_polygons(mask, tmp_path / "m.geojson", LABELS)
    found, _ = features(tmp_path / "m.geojson")
    assert summary == PolygonSummary(3, "px2", 2)
    assert sorted(outline.bounds for outline, _ in found) == [(0, 20 * i, 40, 20 * i + 20) for i in range(3)]


def test_a_mask_without_any_class_gives_no_polygon(tmp_path):
    assert write_polygons(np.full((5, 4), 255, np.uint8), tmp_path / "m.geojson", LABELS).polygons == 0
    assert features(tmp_path / "m.geojson")[0] == []


def test_what_cannot_be_outlined_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="tolerance=-1"):
        write_polygons(blobs(), tmp_path / "m.geojson", LABELS, tolerance=-1)
    with pytest.raises(DataError, match=r"shape \(2, 3, 4\)"):
        write_polygons(np.zeros((2, 3, 4), np.uint8), tmp_path / "m.geojson", LABELS)
    with pytest.raises(DataError, match="cannot be read"):
        write_polygons(tmp_path / "missing.tif", tmp_path / "m.geojson", LABELS)
    assert list(tmp_path.iterdir()) == []
