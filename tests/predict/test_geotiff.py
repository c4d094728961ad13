from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from xseg.errors import MissingExtraError
from xseg.labels.label_map import LabelMap
from xseg.predict import geotiff
from xseg.predict.geotiff import geo_environment, is_raster, mask_type

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # noqa: E402


def write(path, *, height=20, width=30, count=3, dtype="uint8", **profile):
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=dtype, **profile
    ) as dataset:
        dataset.write(np.ones((count, height, width), dtype))
    return path


@pytest.mark.parametrize("options", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"compress": "deflate"}])
def test_a_tiff_with_a_place_on_earth_is_a_raster_and_a_picture_is_not(tmp_path, options):
    place = {"crs": "EPSG:32633", "transform": from_origin(1, 2, 3, 3)}
    assert is_raster(write(tmp_path / "map.tif", **place, **options))
    assert not is_raster(write(tmp_path / "picture.tif", **options))


def test_a_world_file_makes_a_tiff_a_raster(tmp_path):
    path = write(tmp_path / "map.tif")
    (tmp_path / "map.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert is_raster(path)


def test_a_huge_tiff_is_a_raster(tmp_path, monkeypatch):
    path = write(tmp_path / "picture.tif", height=30, width=40)
    monkeypatch.setattr(geotiff, "LARGE_PIXELS", 1199)
    assert is_raster(path)
    monkeypatch.setattr(geotiff, "LARGE_PIXELS", 1200)
    assert not is_raster(path)


def test_everything_else_is_no_raster(tmp_path):
    whole = write(tmp_path / "map.tif", transform=from_origin(1, 2, 3, 3)).read_bytes()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for number, content in enumerate((b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", whole[:9], b"text")):
        (tmp_path / f"{number}.tif").write_bytes(content)
        assert not is_raster(tmp_path / f"{number}.tif")
    for name in ("a.png", "missing.tif", "."):
        assert not is_raster(tmp_path / name)


def test_without_rasterio_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with (
        pytest.raises(MissingExtraError, match=r"map.tif needs rasterio.*pip install 'xseg\[geo\]'"),
        geo_environment("map.tif"),
    ):
        pass


@pytest.mark.parametrize(
    ("classes", "ignore_index", "expected"),
    [
        (3, 255, ("uint8", 255)),
        (3, -1, ("uint8", 255)),
        (3, 200, ("uint8", 200)),
        (255, 255, ("uint8", 255)),
        (256, 999, ("uint16", 999)),
        (3, 65535, ("uint8", 255)),
        (300, -1, ("uint16", 65535)),
    ],
)
def test_no_data_is_a_value_that_is_no_class(classes, ignore_index, expected):
    assert mask_type(LabelMap(tuple(map(str, range(classes))), ignore_index=ignore_index)) == expected
