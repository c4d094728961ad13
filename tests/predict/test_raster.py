from __future__ import annotations

import errno
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from silent import Silent
from torch import nn

from xseg.errors import ConfigError, DataError
from xseg.images.normalization import Normalization
from xseg.inference import accumulator
from xseg.inference.options import InferenceOptions
from xseg.inference.tiling import Tiling
from xseg.labels.decision import PLAIN
from xseg.labels.label_map import LabelMap
from xseg.predict import geotiff
from xseg.predict.outputs.output import RasterPrediction
from xseg.predict.outputs.overlay import reduced_prediction
from xseg.predict.outputs.probabilities import Probabilities
from xseg.predict.raster import predict_raster

rasterio = pytest.importorskip("rasterio")
from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402

LABELS = LabelMap(("red", "green", "blue"), ((200, 0, 0), (0, 180, 0), (0, 0, 220)))
PLACE = from_origin(500_000, 5_700_000, 0.5, 0.5)
UTM = "EPSG:32633"
TILES = InferenceOptions(tile=64, overlap=16)


class BrightestChannel(nn.Module):
    """Logits are the channels."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.05))

    def forward(self, images):
        return images * self.weight


class Predictor:
    """Runs the model on raw pixels and remembers how many tiles it saw."""

    decision = PLAIN

    def __init__(self, labels=LABELS, normalization=None):
        self.labels, self.normalization = labels, normalization or Normalization()
        self.model = BrightestChannel()
        self.seen = []

    @torch.inference_mode()
    def run(self, images):
        self.seen.append(images)
        return self.model(torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)).softmax(dim=1)


def scene(height=150, width=210, seed=0, dtype=np.uint8):
    """Patches of 10 x 10 pixels, (3, height, width), each brightest in one channel."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, 3, (-(-height // 10), -(-width // 10)))
    classes = patches.repeat(10, 0).repeat(10, 1)[:height, :width]
    values = np.where(classes == np.arange(3)[:, None, None], 220, 40) + generator.integers(0, 30, (3, height, width))
    return values.astype(dtype), classes


def write(path, bands, **profile):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype,
        **{"crs": UTM, "transform": PLACE, **profile},
    ) as dataset:
        dataset.write(bands)
    return path


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def source(tmp_path):
    bands, classes = scene()
    return SimpleNamespace(path=write(tmp_path / "scene.tif", bands), classes=classes, bands=bands)


def test_the_mask_has_the_classes_the_place_and_the_colours_of_the_scene(source, tmp_path):
    summary = predict_raster(Predictor(), source.path, tmp_path / "out" / "mask.tif", TILES)
    with rasterio.open(tmp_path / "out" / "mask.tif") as mask, rasterio.open(source.path) as scene:
        np.testing.assert_array_equal(mask.read(1), source.classes)
        assert (mask.crs, mask.transform, mask.shape) == (scene.crs, scene.transform, scene.shape)
        assert mask.count == 1
        assert mask.dtypes == ("uint8",)
        assert mask.nodata == 255
        assert [mask.colormap(1)[index][:3] for index in range(3)] == list(LABELS.colors)
        assert mask.is_tiled
        assert mask.compression.name == "deflate"
    counts = np.bincount(source.classes.ravel())
    assert list(summary.pixels.values()) == counts.tolist()
    assert (summary.nodata, summary.height, summary.width) == (0, 150, 210)
    assert summary.tiling == Tiling(64, 16)
    assert names(tmp_path / "out") == ["mask.tif"]


@pytest.mark.parametrize("budget", [1, 20_000])
def test_narrow_strips_give_the_same_mask(source, tmp_path, monkeypatch, budget):
    monkeypatch.setattr(accumulator, "CARRIED_BYTES", budget)
    predict_raster(Predictor(), source.path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1), source.classes)


def test_pixels_without_data_stay_without_and_empty_tiles_are_not_run(tmp_path):
    bands, classes = scene()
    bands[:, :, 100:] = 0
    bands[:, 3, 5] = 0
    bands[:2, 7, 7] = 0
    path = write(tmp_path / "scene.tif", bands, nodata=0)
    predictor = Predictor()
    summary = predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    empty = (bands == 0).all(axis=0)
    assert not empty[7, 7]
    with rasterio.open(tmp_path / "mask.tif") as mask:
        labels = mask.read(1)
    np.testing.assert_array_equal(labels == 255, empty)
    near = np.zeros_like(empty)
    near[7, 7] = True
    np.testing.assert_array_equal(labels[~empty & ~near], classes[~empty & ~near])
    assert summary.nodata == empty.sum()
    assert summary.tiles == 4 * 6
    assert len(predictor.seen) < summary.tiles
    fill = next(images for images in predictor.seen if (images == 128).all(axis=3).any())
    assert fill.min() > 0, "empty pixels are shown to the model as the mean, not as black"


@pytest.mark.parametrize(
    ("dtype", "maximum"), [(np.uint16, 65535), (np.float32, 1.0), (np.int16, 255), (np.float64, 255)]
)
def test_any_number_type_is_read_as_it_is(tmp_path, dtype, maximum):
    bands, classes = scene(70, 80, dtype=np.float64)
    values = (bands / 255 * min(maximum, 4000)).astype(dtype)
    path = write(tmp_path / "scene.tif", values)
    predictor = Predictor(normalization=Normalization((0.5,) * 3, (0.5,) * 3, maximum))
    predictor.model.weight.data.fill_(20 / min(maximum, 4000))
    predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1), classes)
    assert predictor.seen[0].dtype == (np.uint16 if dtype == np.uint16 else np.float32)


@pytest.mark.parametrize(("dtype", "stored", "maximum"), [(np.uint16, 257, 255), (np.uint8, 1, 65535)])
def test_white_is_white_in_a_file_of_either_depth(tmp_path, dtype, stored, maximum):
    bands, classes = scene(70, 80, dtype=np.float64)
    path = write(tmp_path / "scene.tif", (bands.round() * stored).astype(dtype))
    predictor = Predictor(normalization=Normalization((0.5,) * 3, (0.5,) * 3, maximum))
    predictor.model.weight.data.fill_(20 / maximum)
    predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1), classes)
    np.testing.assert_allclose(predictor.seen[0].max(), bands.max() / 255 * maximum, rtol=0.01)


def test_not_a_number_is_no_data(tmp_path):
    bands, _ = scene(70, 80, dtype=np.float32)
    bands[:, 10:20, 30:40] = np.nan
    path = write(tmp_path / "scene.tif", bands)
    predict_raster(Predictor(), path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        labels = mask.read(1)
    assert (labels[10:20, 30:40] == 255).all()
    assert (labels == 255).sum() == 100


def test_an_alpha_band_says_where_there_is_data(tmp_path):
    bands, classes = scene(70, 80)
    alpha = np.full((1, 70, 80), 255, np.uint8)
    alpha[:, :20] = 0
    path = write(tmp_path / "scene.tif", np.concatenate([bands, alpha]), photometric="rgb", ALPHA="YES")
    predict_raster(Predictor(), path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1)[20:], classes[20:])
        assert (mask.read(1)[:20] == 255).all()


def test_floats_from_0_to_1_are_the_scene_that_they_are_in_8_bits_in_every_tile(tmp_path):
    bands, classes = scene()
    shares = (bands / 255).astype(np.float32)
    shares[:, :64, :64] = 1.0  # a tile that alone does not say what its numbers mean
    predictor = Predictor()
    predict_raster(predictor, write(tmp_path / "scene.tif", shares), tmp_path / "mask.tif", TILES)
    assert all(tile.max() > 200 for tile in predictor.seen)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1)[64:], classes[64:])


def test_a_raster_of_zeros_and_ones_is_taken_as_it_is_with_a_warning(tmp_path):
    path = write(tmp_path / "scene.tif", np.ones((3, 70, 80), np.float32))
    predictor = Predictor()
    with pytest.warns(UserWarning, match=r"scene.tif .*only 0 and 1"):
        predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    assert predictor.seen[0].max() == 1


def test_a_grey_band_does_for_a_model_of_three(tmp_path):
    bands, _ = scene(70, 80)
    path = write(tmp_path / "grey.tif", bands[:1])
    predictor = Predictor()
    predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    assert predictor.seen[0].shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(predictor.seen[0][0, ..., 2], bands[0, :64, :64])


@pytest.mark.parametrize(("dtype", "maximum", "mean"), [(np.uint8, 255, 102), (np.float32, 1.0, np.float32(0.4))])
def test_empty_pixels_of_a_grey_band_are_shown_as_the_mean(tmp_path, dtype, maximum, mean):
    bands = np.full((1, 70, 80), maximum, dtype)
    bands[:, 5, 6] = 0
    path = write(tmp_path / "grey.tif", bands, nodata=0)
    predictor = Predictor(normalization=Normalization((0.4,) * 3, (0.5,) * 3, maximum))
    predict_raster(predictor, path, tmp_path / "mask.tif", TILES)
    assert predictor.seen[0].shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(predictor.seen[0][0, 5, 6], [mean] * 3)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.read(1) == 255).sum() == 1


def test_many_classes_give_a_16_bit_mask(tmp_path):
    labels = LabelMap(tuple(f"class {index}" for index in range(300)), ignore_index=-1)
    predictor = Predictor(labels=labels)
    predictor.run = lambda images: torch.arange(300.0)[None, :, None, None].expand(len(images), -1, *images.shape[1:3])
    summary = predict_raster(predictor, write(tmp_path / "scene.tif", scene(70, 80)[0]), tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert mask.dtypes == ("uint16",)
        assert mask.nodata == 65535
        assert (mask.read(1) == 299).all()
        assert mask.colormap(1)[299][:3] == labels.colors[299]
    assert summary.pixels["class 299"] == 70 * 80


def test_ground_control_points_are_kept(tmp_path):
    bands, _ = scene(70, 80)
    points = [GroundControlPoint(row, col, 10.0 + col, 50.0 - row, 0.0) for row in (0, 70) for col in (0, 80)]
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=70, width=80, count=3, dtype="uint8") as dataset:
        dataset.write(bands)
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    predict_raster(Predictor(), path, tmp_path / "mask.tif", TILES)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        kept, crs = mask.gcps
        assert [(point.row, point.col, point.x, point.y) for point in kept] == [
            (point.row, point.col, point.x, point.y) for point in points
        ]
        assert crs.to_epsg() == 4326


def test_overviews_show_the_commonest_class(tmp_path):
    bands, classes = scene(1100, 1040)
    path = write(tmp_path / "scene.tif", bands)
    predict_raster(Predictor(), path, tmp_path / "mask.tif", InferenceOptions(tile=0))
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert mask.overviews(1) == [2, 4]
    with rasterio.open(tmp_path / "mask.tif", overview_level=0) as half:
        np.testing.assert_array_equal(half.read(1)[:500, :500], classes[:1000:2, :1000:2])


def test_probabilities_are_a_band_per_class(source, tmp_path):
    predictor = Predictor()
    streams = {tmp_path / "p.tif": Probabilities().stream_raster}
    predict_raster(predictor, source.path, tmp_path / "m.tif", TILES, streams=streams)
    expected = predictor.run(np.moveaxis(source.bands, 0, -1)[None])[0].numpy()
    with rasterio.open(tmp_path / "p.tif") as probabilities:
        assert probabilities.dtypes == ("float32",) * 3
        np.testing.assert_allclose(probabilities.read(), expected, atol=1e-6)


def test_progress_counts_tiles_and_may_stop_the_work_without_leaving_a_file(source, tmp_path):
    shown = Silent()
    predict_raster(Predictor(), source.path, tmp_path / "a" / "mask.tif", TILES, show=shown)
    assert (shown.done, shown.total) == (24, 24)

    class Stop(Silent):
        def advance(self, count=1):
            super().advance(count)
            if self.done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_raster(Predictor(), source.path, tmp_path / "b" / "mask.tif", TILES, show=Stop())
    assert names(tmp_path / "b") == []


def test_a_full_disk_is_told_and_leaves_no_file(source, tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="no space left") as caught:
        predict_raster(Predictor(), source.path, tmp_path / "out" / "mask.tif", TILES)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path / "out") == []


def test_a_tile_and_an_overlap_that_do_not_go_together_are_refused_before_work_begins():
    with pytest.raises(ConfigError, match="at most half a tile"):
        InferenceOptions(tile=100, overlap=60)
    with pytest.raises(ConfigError, match="batch_size=0"):
        InferenceOptions(batch_size=0)


def test_values_that_the_model_does_not_know_are_refused_with_the_place(tmp_path):
    bands, _ = scene(dtype=np.float32)
    bands[1, 140, 200] = -9999
    path = write(tmp_path / "scene.tif", bands)
    with pytest.raises(DataError, match=r"scene.tif has values from -9999 to .* near row 86, column 146; .* nodata"):
        predict_raster(Predictor(), path, tmp_path / "mask.tif", TILES)


def test_an_overlay_is_small_and_has_a_legend(source, tmp_path):
    predict_raster(Predictor(), source.path, tmp_path / "mask.tif", TILES)
    raster = RasterPrediction(source.path, tmp_path / "mask.tif", LABELS)
    picture = reduced_prediction(raster, side=105).overlay()
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 75
    assert picture.shape[1:] == (105, 3)


def test_a_file_that_is_damaged_in_the_middle_is_one_clear_line_and_leaves_no_mask(tmp_path):
    bands, _ = scene(300, 300)
    path = write(tmp_path / "scene.tif", bands, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"scene.tif cannot be read: .*; expected a complete GeoTIFF"):
        predict_raster(Predictor(), path, tmp_path / "out" / "mask.tif", TILES)
    assert names(tmp_path / "out") == []
