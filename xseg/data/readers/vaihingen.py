"""ISPRS Vaihingen: 33 tiles of infrared, red and green at 9 cm, labelled in six colours."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.readers.isprs import create_isprs

TEST_TILES = frozenset(f"area{number}" for number in (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38))
IMAGES = "top/top_mosaic_09cm_{name}.tif"
MASKS = "gts_for_participants/top_mosaic_09cm_{name}.tif"


def create(options: DataOptions) -> FileReader:
    """Return the reader for the tiles in root.

    gts_for_participants holds the labels of the training tiles; layout.files.masks can name the folder with complete or
    eroded labels.

    Source: ISPRS WG III/4, 2D Semantic Labeling - Vaihingen.
    """
    return create_isprs(options, IMAGES, MASKS, TEST_TILES)
