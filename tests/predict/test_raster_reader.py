from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xseg.errors import DataError
from xseg.images.normalization import Normalization
from xseg.predict import raster_reader
from xseg.predict.geotiff import geo_environment
from xseg.predict.raster_reader import open_raster

rasterio = pytest.importorskip("rasterio")


def write(path, *, height=20, width=30, count=3, dtype="uint8", **profile):
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=dtype, **profile
    ) as dataset:
        dataset.write(np.ones((count, height, width), dtype))
    return path


def open_one(path, channels=3, bands=()):
    normalization = replace(Normalization.for_channels(channels), bands=bands)
    with geo_environment("a test"), open_raster(path, normalization) as reader:
        return reader.bands, *reader.dataset.shape


def test_the_bands_are_the_models_channels(tmp_path):
    assert open_one(write(tmp_path / "rgb.tif")) == ((1, 2, 3), 20, 30)
    assert open_one(write(tmp_path / "eight.tif", count=8), 8)[0] == tuple(range(1, 9))
    assert open_one(write(tmp_path / "rgba.tif", count=4, photometric="rgb", ALPHA="YES"), 3)[0] == (1, 2, 3)
    assert open_one(write(tmp_path / "grey.tif", count=1), 3)[0] == (1,)
    assert open_one(write(tmp_path / "one.tif", count=1), 1)[0] == (1,)


def test_a_model_of_some_bands_reads_them_from_a_file_of_more(tmp_path):
    path = write(tmp_path / "eight.tif", count=8)
    assert open_one(path, 3, (4, 3, 8))[0] == (4, 3, 8)
    assert open_one(write(tmp_path / "rgb.tif"), 1, (2,))[0] == (2,)
    with pytest.raises(DataError, match="has 8 bands; expected bands 9"):
        open_one(path, 1, (9,))


@pytest.mark.parametrize(
    ("profile", "channels", "message"),
    [
        ({"count": 5}, 3, "has 5 bands; expected 3; select bands with gdal_translate -b"),
        ({"count": 1}, 4, "has 1 bands; expected 4"),
        ({"dtype": "complex64"}, 3, "has complex64 values"),
    ],
)
def test_other_bands_are_refused(tmp_path, profile, channels, message):
    with pytest.raises(DataError, match=message):
        open_one(write(tmp_path / "map.tif", **profile), channels)


def test_a_colour_table_is_refused_with_the_remedy(tmp_path):
    path = write(tmp_path / "map.tif", count=1)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (1, 2, 3, 255)})
    with pytest.raises(DataError, match=r"colour table.*-expand rgb"):
        open_one(path)


def test_blocks_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "map.tif", height=64, width=64, tiled=True, blockxsize=64, blockysize=64)
    monkeypatch.setattr(raster_reader, "free_memory", lambda: 4 * 64 * 64 * 3 - 1)
    with pytest.raises(DataError, match=r"blocks of 64x64 pixels.*TILED=YES"):
        open_one(path)
    monkeypatch.setattr(raster_reader, "free_memory", lambda: 4 * 64 * 64 * 3)
    open_one(path)


def test_what_is_no_geotiff_is_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.vrt").write_text("<VRTDataset rasterXSize='4' rasterYSize='4'></VRTDataset>")
    write(tmp_path / "cut.tif", height=500, width=500)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:100])
    for name in ("a.png", "list.vrt", "cut.tif"):
        with pytest.raises(DataError, match=rf"{name} cannot be read.*expected a complete GeoTIFF"):
            open_one(tmp_path / name)
    with pytest.raises(DataError, match=r"missing\.tif does not exist"):
        open_one(tmp_path / "missing.tif")
