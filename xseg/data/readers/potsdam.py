"""ISPRS Potsdam: 38 tiles of 6000x6000 pixels at 5 cm, labelled in six colours."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, variant_of
from xseg.data.readers.isprs import create_isprs

TEST_TILES = frozenset(
    ("2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13")
)
VARIANTS = {
    "rgb": "2_Ortho_RGB/top_potsdam_{name}_RGB.tif",
    "irrg": "3_Ortho_IRRG/top_potsdam_{name}_IRRG.tif",
    "rgbir": "4_Ortho_RGBIR/top_potsdam_{name}_RGBIR.tif",
}
"""rgb and irrg have 3 channels; rgbir has 4, for channels: 4."""
MASKS = "5_Labels_all/top_potsdam_{name}_label.tif"


def create(options: DataOptions) -> FileReader:
    """Return the reader for the tiles in root; layout.files.masks can name the eroded labels.

    Source: ISPRS WG III/4, 2D Semantic Labeling - Potsdam.
    """
    return create_isprs(options, variant_of(options, VARIANTS), MASKS, TEST_TILES)
