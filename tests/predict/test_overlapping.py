"""Classes that overlap, from an image, a raster and a video to every output."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from prediction_fixtures import LABELS, BrightestChannel
from silent import Silent

from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.images.reading import read_image
from xseg.inference.options import InferenceOptions
from xseg.inference.pipeline import Request
from xseg.inference.prediction import read_mask
from xseg.inference.predictor import Predictor
from xseg.labels.decision import Decision
from xseg.predict.job import Job
from xseg.predict.manifest import describe_run
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import expand_sources
from xseg.predict.table import read_table

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # noqa: E402

PLACE = from_origin(500_000, 5_700_000, 0.5, 0.5)
NAMES = LABELS.names
EVERYTHING = {"overlay": True, "polygons": True, "coco": True, "tolerance": 0.0}


@pytest.fixture
def predictor():
    options = InferenceOptions(device="cpu", batch_size=2, tile=64, overlap=16)
    decision = Decision(overlapping=True, thresholds=(0.5, 0.5, 0.9))
    normalization = Normalization((0.5,) * 3, (0.25,) * 3)
    return Predictor(BrightestChannel(), labels=LABELS, normalization=normalization, options=options, decision=decision)


def picture(height=70, width=90):
    """An image whose left half is red, upper half green, and a block in the middle blue, over each other."""
    image = np.full((height, width, 3), 10, np.uint8)
    image[:, : width // 2, 0] = 250
    image[: height // 2, :, 1] = 250
    image[20:50, 30:60, 2] = 250
    return image


def bands(image):
    return (image > 128).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """An image, a GeoTIFF of two tiles with a corner without data, and a video."""
    path = tmp_path / "in"
    path.mkdir()
    Image.fromarray(picture()).save(path / "a.png")
    scene = picture()
    scene[60:, 80:] = 0
    profile = {"height": 70, "width": 90, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(path / "b.tif", "w", driver="GTiff", nodata=0, **profile) as dataset:
        dataset.write(scene.transpose(2, 0, 1))
    video = cv2.VideoWriter(str(path / "c.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (90, 70))
    for _ in range(3):
        video.write(picture()[..., ::-1])
    video.release()
    return path


def run(predictor, sources, out, outputs=(), **options):
    described = describe_run("", predictor.options, outputs, device="cpu", backend="torch", precision="float32")
    job = Job(predictor, sources, FolderOptions(str(out), **options), described, Silent(), outputs)
    return job.run()


def test_masks_are_pages_of_an_image_bands_of_a_raster_and_pages_of_each_frame(predictor, folder, tmp_path):
    out = tmp_path / "out"
    rows = run(predictor, expand_sources([str(path) for path in sorted(folder.iterdir())]), out)
    assert [row.mask for row in rows] == ["masks/a.tif", "masks/b.tif", "masks/c"]
    expected = bands(picture())
    np.testing.assert_array_equal(tifffile.imread(out / "masks" / "a.tif"), expected.transpose(2, 0, 1))
    there, pages = cv2.imreadmulti(str(out / "masks" / "a.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert there
    np.testing.assert_array_equal(np.stack(pages, axis=-1), expected)
    np.testing.assert_array_equal(read_image(out / "masks" / "a.tif", 3), expected)
    with Image.open(out / "masks" / "a.tif") as image:
        assert image.n_frames == 3
    with tifffile.TiffFile(out / "masks" / "a.tif") as file:
        assert tuple(page.tags["PageName"].value for page in file.pages) == NAMES
    with rasterio.open(out / "masks" / "b.tif") as dataset:
        assert (dataset.count, dataset.descriptions, dataset.nodata) == (3, NAMES, 255)
        assert (dataset.crs.to_epsg(), dataset.transform) == (32633, PLACE)
        expected[60:, 80:] = 255
        np.testing.assert_array_equal(dataset.read().transpose(1, 2, 0), expected)
    frames = sorted((out / "masks" / "c").iterdir())
    assert [frame.name for frame in frames] == ["000001.tif", "000002.tif", "000003.tif"]
    assert np.mean(read_mask(frames[1]) == bands(picture())) > 0.95
    counted = [json.loads(row.pixels) for row in rows]
    assert counted[0] == dict(zip(NAMES, bands(picture()).sum((0, 1)).tolist(), strict=True))
    assert counted[1] == dict(zip(NAMES, (expected == 1).sum((0, 1)).tolist(), strict=True))
    with (out / "predictions.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok"] * 3


def test_every_class_has_its_own_regions_where_they_overlap(predictor, folder, tmp_path):
    shapely = pytest.importorskip("shapely")
    coco = pytest.importorskip("pycocotools.mask")
    out = tmp_path / "out"
    sources = expand_sources([str(folder / "a.png"), str(folder / "b.tif")])
    run(predictor, sources, out, create_outputs(EVERYTHING))
    areas = bands(picture()).sum((0, 1)).tolist()
    features = json.loads((out / "polygons" / "a.geojson").read_text())["features"]
    assert [feature["properties"]["class"] for feature in features] == [*NAMES]
    assert [feature["properties"]["area"] for feature in features] == areas
    red, green = (shapely.geometry.shape(feature["geometry"]) for feature in features[:2])
    assert red.intersection(green).area == 35 * 45
    placed = json.loads((out / "polygons" / "b.geojson").read_text())["features"]
    blue = next(feature["properties"] for feature in placed if feature["properties"]["class"] == "blue")
    assert (blue["area"], blue["area_unit"]) == (areas[2] / 4, "m2")
    annotations = json.loads((out / "coco.json").read_text())["annotations"]
    assert [annotation["category_id"] for annotation in annotations] == [1, 2, 3, 1, 2, 3]
    for annotation, expected in zip(annotations, [*areas, None, None, areas[2]], strict=True):
        decoded = coco.decode(annotation["segmentation"])
        assert decoded.sum() == annotation["area"]
        assert expected is None or annotation["area"] == expected
    np.testing.assert_array_equal(coco.decode(annotations[1]["segmentation"]), bands(picture())[..., 1])


def test_an_overlay_mixes_the_colours_of_overlapping_classes(predictor, folder, tmp_path):
    prediction = predictor(folder / "a.png")
    drawn = prediction.overlay(alpha=1.0, legend=False).astype(int)
    colors = np.array(LABELS.colors)
    assert np.array_equal(drawn[5, 5], colors[:2].mean(0).round())
    assert np.array_equal(drawn[60, 5], colors[0])
    assert np.array_equal(drawn[65, 85], picture()[65, 85])
    assert np.array_equal(drawn[30, 35], colors.mean(0).round())
    assert prediction.overlay().shape[0] > 70
    run(
        predictor,
        expand_sources([str(path) for path in sorted(folder.iterdir())]),
        tmp_path / "out",
        create_outputs({"overlay": True}),
    )
    names = sorted(path.name for path in (tmp_path / "out" / "overlays").iterdir())
    assert names == ["a.jpg", "b.jpg", "c.mp4"]
    with Image.open(tmp_path / "out" / "overlays" / "b.jpg") as image:
        assert image.height > 70


def test_probabilities_are_sigmoids_and_the_thresholds_decide(predictor, folder, tmp_path):
    out = tmp_path / "out"
    sources = expand_sources([str(folder / "a.png"), str(folder / "b.tif")])
    run(predictor, sources, out, create_outputs({"probabilities": True}))
    values = np.load(out / "probabilities" / "a.npz")["probabilities"]
    assert values.shape == (3, 70, 90)
    assert (values.sum(0) > 1.5).any()
    limits = np.array([0.5, 0.5, 0.9])[:, None, None]
    np.testing.assert_array_equal(values >= limits, bands(picture()).transpose(2, 0, 1))
    with rasterio.open(out / "probabilities" / "b.tif") as dataset:
        found = dataset.read()
        assert np.isnan(found[:, 60:, 80:]).all()
        np.testing.assert_allclose(found[:, :60], values[:, :60], atol=1e-3)


def test_a_resumed_run_keeps_what_is_there_and_completes_the_same(predictor, folder, tmp_path):
    sources, out = expand_sources([str(path) for path in sorted(folder.iterdir())]), tmp_path / "out"
    outputs = create_outputs({"overlay": True})
    rows = run(predictor, sources, out, outputs)
    wanted = {path: path.read_bytes() for path in (out / "masks").rglob("*.tif")}
    (out / "masks" / "a.tif").unlink()
    (out / "masks" / "c" / "000002.tif").unlink()
    (out / "overlays" / "c.mp4").unlink()
    predictor.model.seen.clear()
    again = run(predictor, sources, out, outputs, resume=True)
    assert {path: path.read_bytes() for path in (out / "masks").rglob("*.tif")} == wanted
    assert [replace(row, seconds=None) for row in again] == [replace(row, seconds=None) for row in rows]
    assert len(read_table(out / "predictions.csv")) == 3
    assert len(predictor.model.seen) == 6, "four tiles of the image, and of the two frames of a batch, two at a time"


class Texts(Output):
    """An output that knows nothing of overlapping classes."""

    folder = "texts"
    suffixes = {"image": ".txt"}  # noqa: RUF012 - as a user writes it

    def write_image(self, prediction, path):
        path.write_text(str(prediction.mask.shape))


def test_an_output_without_overlapping_classes_is_refused_before_the_run(predictor, folder, tmp_path):
    sources = expand_sources([str(folder / "a.png")])
    with pytest.raises(ConfigError, match=r"Texts cannot be written for overlapping classes; expected mask, overlay"):
        run(predictor, sources, tmp_path / "out", (Texts(),))
    assert not (tmp_path / "out").exists()


def test_a_mask_of_overlapping_classes_is_no_png(predictor, folder, tmp_path):
    with pytest.raises(
        ConfigError, match=r"m.png for a mask of overlapping classes; expected a name that ends in .tif"
    ):
        predictor(folder / "a.png").save(tmp_path / "m.png")


def test_other_values_in_masks_are_refused_before_the_run(predictor, folder, tmp_path):
    sources = expand_sources([str(folder / "a.png")])
    with pytest.raises(ConfigError, match=r"mask_values=255 for overlapping classes; expected index"):
        run(predictor, sources, tmp_path / "out", create_outputs({"mask_values": "255"}))
    assert not list((tmp_path / "out" / "masks").glob("*"))


def test_a_machine_of_a_cluster_writes_the_same_masks(predictor, folder, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from xseg.predict import ray as module

    monkeypatch.setattr(module, "load", lambda *_, **__: predictor)
    sources = expand_sources([str(folder / "a.png")])
    run(predictor, sources, tmp_path / "here")
    actor = module.Actor(["model"], predictor.options, str(tmp_path / "there"), ())
    ((requests, found),) = module._windows(sources, [Request(0, sources[0].path)], 2)
    (row,) = actor({"window": [(requests, found)]})["row"]
    assert row.mask == "masks/a.tif"
    assert (tmp_path / "there" / row.mask).read_bytes() == (tmp_path / "here" / row.mask).read_bytes()
