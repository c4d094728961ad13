"""The real CamVid, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xseg.data.check import check_split
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader

ROOT = Path(__file__).parents[2] / "../shared/data/camvid"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="CamVid is not at ../shared/data/camvid")


def test_camvid_is_whole_and_its_road_lies_below_its_sky():
    reader = create_reader(DataOptions(reader="camvid", root=str(ROOT)))
    for split, count in (("train", 367), ("val", 101)):
        found = check_split(reader, split)
        assert (found.images, found.sizes) == (count, {(360, 480): count})
        assert sorted(found.values) == list(range(12))
    sample = reader.read(reader.records("val")[0])
    heights = {
        name: np.argwhere(sample.mask == reader.labels.names.index(name))[:, 0].mean() for name in ("sky", "road")
    }
    assert heights["sky"] < 180 < heights["road"]
