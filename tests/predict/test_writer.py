from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xseg.errors import DataError, ShapeError
from xseg.inference.prediction import Failure
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import Source
from xseg.predict.writer import PredictionWriter


@pytest.fixture
def prediction(predictor, photo):
    return predictor(photo())


def files(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_masks_alone_by_default_and_the_rest_on_request(tmp_path, prediction):
    source = Source(Path("in/sub/v1.0.jpg"), "sub/v1.0")
    PredictionWriter(tmp_path / "plain").write(source, prediction)
    assert files(tmp_path / "plain") == ["masks/sub/v1.0.png"]
    outputs = create_outputs({"overlay": True, "probabilities": True, "polygons": True})
    PredictionWriter(tmp_path / "all", outputs).write(source, prediction)
    kinds = {"masks": "png", "overlays": "jpg", "polygons": "geojson", "probabilities": "npz"}
    assert files(tmp_path / "all") == [f"{kind}/sub/v1.0.{suffix}" for kind, suffix in kinds.items()]
    with np.load(tmp_path / "all" / "probabilities" / "sub" / "v1.0.npz", allow_pickle=False) as stored:
        assert stored["probabilities"].dtype == np.float16
        np.testing.assert_allclose(stored["probabilities"], prediction.probabilities, atol=1e-3)
    with Image.open(tmp_path / "all" / "overlays" / "sub" / "v1.0.jpg") as overlay:
        assert overlay.size[0] == 13


def test_the_row_tells_size_time_and_the_classes_that_are_there(tmp_path, prediction):
    row = PredictionWriter(tmp_path).write(Source(Path("a.png"), "a"), prediction)
    assert (row.path, row.status, row.width, row.height, row.mask, row.error) == (
        "a.png",
        "ok",
        13,
        9,
        "masks/a.png",
        "",
    )
    assert row.seconds > 0
    counts = json.loads(row.pixels)
    assert sum(counts.values()) == 9 * 13
    assert counts["red"] == (prediction.mask == 0).sum()


def test_a_failure_writes_nothing_but_a_row_that_names_the_file(tmp_path):
    writer = PredictionWriter(tmp_path)
    source = Source(Path("a.png"), "a")
    assert writer.write(source, Failure(Path("a.png"), DataError("a.png is empty"))).error == "a.png is empty"
    assert writer.write(source, Failure(Path("a.png"), ShapeError("too small"))).error == "a.png: too small"
    assert files(tmp_path) == []
