"""Masks with other values than train ids: what is in the files, how they are read, and that nothing else changes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from prediction_fixtures import LABELS, BrightestChannel
from silent import Silent

from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.prediction import Prediction
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.labels.mask_values import decoded, encoded, value_table
from xseg.predict.job import Job
from xseg.predict.manifest import describe_run
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import expand_sources

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("shapely")
pytest.importorskip("pycocotools")

DOCS = Path(__file__).parents[2] / "docs" / "prediction.md"
RAW = replace(LABELS, raw_ids=(7, 300, 0), ignored_raw_ids=(11,))
TWO = LabelMap(("background", "vessel"), ((0, 0, 0), (220, 30, 30)))
EVERYTHING = {"overlay": True, "polygons": True, "coco": True}


def picture(height=70, width=90):
    """Patches, each brightest in one channel."""
    classes = np.random.default_rng(0).integers(0, 3, (height // 10, width // 10)).repeat(10, 0).repeat(10, 1)
    return np.where(classes[..., None] == np.arange(3), 230, 20).astype(np.uint8), classes.astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """An image, and a GeoTIFF of several tiles with a corner without data."""
    path = tmp_path / "in"
    path.mkdir()
    image, _ = picture()
    Image.fromarray(image).save(path / "photo.png")
    image = image.copy()
    image[60:, 80:] = 0
    place = rasterio.transform.from_origin(500_000, 5_700_000, 0.5, 0.5)
    profile = {"height": 70, "width": 90, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": place}
    with rasterio.open(path / "map.tif", "w", driver="GTiff", nodata=0, **profile) as dataset:
        dataset.write(image.transpose(2, 0, 1))
    return path


class FirstTwo(BrightestChannel):
    """Leaves out the last channel."""

    def forward(self, images):
        return super().forward(images)[:, :2]


def run(labels, sources, out, values, **options):
    settings = InferenceOptions(device="cpu", batch_size=2, tile=64, overlap=16)
    normalization = Normalization((0.5,) * 3, (0.5,) * 3)
    model = FirstTwo() if len(labels) == 2 else BrightestChannel()
    predictor = Predictor(model, labels=labels, normalization=normalization, options=settings)
    outputs = create_outputs({**EVERYTHING, "mask_values": values, **options})
    described = describe_run("", settings, outputs, device="cpu", backend="torch", precision="float32")
    places = expand_sources([str(path) for path in sorted(sources.iterdir())])
    return Job(predictor, places, FolderOptions(str(out)), described, Silent(), outputs).run()


@pytest.mark.parametrize("values", ["color", "raw"])
def test_only_the_masks_change(folder, tmp_path, values):
    for name in ("index", values):
        assert [row.status for row in run(RAW, folder, tmp_path / name, name)] == ["ok", "ok"]
    kept = sorted(path.relative_to(tmp_path / "index") for path in (tmp_path / "index").rglob("*") if path.is_file())
    assert len([path for path in kept if path.parts[0] in ("overlays", "polygons", "coco.json")]) == 5
    for path in kept:
        if path.parts[0] in ("overlays", "polygons", "coco.json"):
            assert (tmp_path / "index" / path).read_bytes() == (tmp_path / values / path).read_bytes()
    assert not [path for path in (tmp_path / values / "masks").iterdir() if path.name.startswith(".")]
    _, classes = picture()
    expected = np.asarray(RAW.colors if values == "color" else RAW.raw_ids)[classes]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / values / "masks" / "photo.png")), expected)
    with rasterio.open(tmp_path / values / "masks" / "map.tif") as dataset:
        pixels = dataset.read()
        expected = expected.copy()
        expected[60:, 80:] = 0 if values == "color" else 11
        if values == "color":
            np.testing.assert_array_equal(pixels[:3].transpose(1, 2, 0), expected)
            assert ((pixels[3] == 255) == dataset.dataset_mask().astype(bool)).all()
            assert (pixels[3, 60:, 80:] == 0).all()
        else:
            np.testing.assert_array_equal(pixels[0], expected)
            assert dataset.nodata == 11
            assert [dataset.colormap(1)[raw][:3] for raw in RAW.raw_ids] == list(RAW.colors)


def test_two_classes_of_a_raster_are_0_and_255_with_127_for_no_data(folder, tmp_path):
    for values in ("index", "255"):
        run(TWO, folder, tmp_path / values, values)
    with (
        rasterio.open(tmp_path / "index" / "masks" / "map.tif") as index,
        rasterio.open(tmp_path / "255" / "masks" / "map.tif") as dataset,
    ):
        assert (dataset.nodata, dataset.colormap(1)[255][:3]) == (127, TWO.colors[1])
        np.testing.assert_array_equal(dataset.read(1), np.array([0, 255, 127])[np.minimum(index.read(1), 2)])
        assert set(np.unique(dataset.read(1))) == {0, 127, 255}
    polygons = [tmp_path / values / "polygons" / "map.geojson" for values in ("index", "255")]
    assert polygons[0].read_bytes() == polygons[1].read_bytes()


def test_two_classes_are_0_and_255_with_0_for_the_background(tmp_path):
    image, classes = picture()
    mask = (classes == 1).astype(np.uint8)
    for labels, foreground in ((TWO, 1), (LabelMap(("vessel", "rest")), 1), (replace(TWO, background="vessel"), 0)):
        path = Prediction(mask, image, labels).save(tmp_path / "mask.png", "255")
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(pixels, np.where(mask == foreground, 255, 0))
        np.testing.assert_array_equal(decoded(pixels, value_table(labels, "255")), mask)


def test_the_lines_in_the_docs_read_what_they_say(tmp_path, monkeypatch):
    image, classes = picture()
    labels = replace(TWO, raw_ids=(4, 9))
    mask = (classes == 1).astype(np.uint8)
    for values in ("index", "255", "color", "raw"):
        Prediction(mask, image, labels).save(tmp_path / values / "masks" / "photo.png", values)
    block = next(text for text in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if "imread" in text)
    assert set(re.findall(r'"(\w+)/masks', block)) == {"index", "255", "color", "raw"}
    monkeypatch.chdir(tmp_path)
    found = {"np": np, "cv2": cv2, "Image": Image}
    exec(block, found)
    colors = np.asarray(labels.colors)[mask]
    expected = {"numbers": mask, "shown": colors[..., ::-1], "binary": mask * 255, "colors": colors}
    for name, values in {**expected, "raw": np.asarray(labels.raw_ids)[mask]}.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("values", ["255", "color", "raw"])
@pytest.mark.parametrize("count", [2, 300])
def test_values_are_the_train_ids_again(values, count):
    if (values, count) == ("255", 300):
        return
    labels = LabelMap(tuple(map(str, range(count))), raw_ids=tuple(range(count, 0, -1)), ignore_index=1000)
    table = value_table(labels, values)
    mask = np.random.default_rng(0).integers(0, count, (20, 30)).astype(np.uint16)
    np.testing.assert_array_equal(decoded(encoded(mask, table), table), mask)
    mask[3, 4:8] = 65535
    np.testing.assert_array_equal(decoded(encoded(mask, table), table, 65535), mask)


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (LABELS, "255", "mask_values=255 for 3 classes; expected two; use color or raw"),
        (replace(LABELS, colors=((9, 9, 9),) * 3), "color", "mask_values=color for classes of one colour; expected"),
        (replace(LABELS, overlapping=True), "raw", "mask_values=raw for overlapping classes; expected index"),
        (replace(LABELS, raw_ids=(1, 70000, 3)), "raw", "mask_values=raw with numbers up to 70000"),
    ],
)
def test_values_that_do_not_fit_the_classes_are_refused_before_the_work_starts(
    folder, tmp_path, labels, values, message
):
    with pytest.raises(ConfigError, match=message):
        run(labels, folder, tmp_path / "out", values)
    assert not (tmp_path / "out").exists()
