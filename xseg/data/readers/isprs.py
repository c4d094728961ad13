"""The two cities of the ISPRS 2D semantic labelling benchmark, labelled in six colours.

Potsdam has 38 tiles of 6000x6000 pixels at 5 cm, Vaihingen 33 tiles of infrared, red and green at 9 cm.
Source: ISPRS WG III/4, 2D Semantic Labeling - Potsdam, and - Vaihingen.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder, variant_of
from xseg.data.patterns import FolderListing
from xseg.data.sample import Record
from xseg.data.splits import SplitPlan
from xseg.errors import DataError
from xseg.labels.known import ISPRS, VOID

_POTSDAM_TESTS = (
    "2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13",
)  # fmt: skip
_VAIHINGEN_TESTS = (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38)
TEST_TILES = {"potsdam": _POTSDAM_TESTS, "vaihingen": tuple(f"area{number}" for number in _VAIHINGEN_TESTS)}
MASKS = {
    "potsdam": "5_Labels_all/top_potsdam_{name}_label.tif",
    "vaihingen": "gts_for_participants/top_mosaic_09cm_{name}.tif",
}
VARIANTS = {
    "rgb": "2_Ortho_RGB/top_potsdam_{name}_RGB.tif",
    "irrg": "3_Ortho_IRRG/top_potsdam_{name}_IRRG.tif",
    "rgbir": "4_Ortho_RGBIR/top_potsdam_{name}_RGBIR.tif",
}
"""Images of Potsdam: rgb and irrg have 3 channels; rgbir has 4, for channels: 4."""


def _tiles(listing: FolderListing, test: Collection[str], split: str) -> tuple[Record, ...]:
    """Return the tiles of the benchmark's split "train" or "test"."""
    if split not in ("train", "test"):
        raise DataError(f"the benchmark has no split {split!r}", expected="train or test")
    images = listing.find_images(split)
    wanted = {name for name in images if (name in test) == (split == "test")}
    masks = listing.find_parts(split)[0]
    alone = sorted(wanted - set(masks))
    if not wanted or alone:
        got = f"{listing.root} has {len(wanted)} {split} tiles, {len(alone)} of them without a label"
        raise DataError(f"{got} ({', '.join(alone[:3])})" if alone else got, expected="tiles with their labels")
    return tuple(Record(name, images[name], masks[name]) for name in images if name in wanted)


def create(options: DataOptions) -> FileReader:
    """Return the reader for the tiles of a city in root.

    The benchmark has no validation split: as in most publications, the test tiles are used for validation, unless
    layout.splits.fractions divides the training tiles. Black, the eroded class borders, is ignored. layout.files.masks
    can name the eroded labels; for Vaihingen, also the complete ones, as gts_for_participants holds the labels of the
    training tiles.
    """
    city, files = options.reader, options.layout.files
    usual = variant_of(options, VARIANTS) if city == "potsdam" else "top/top_mosaic_09cm_{name}.tif"
    listing = FolderListing(root_folder(options.root), files.images or usual, files.masks or MASKS[city])
    splits = SplitPlan.of(options.layout.splits, ("train", "test", "test"))
    decode = ColorMasks(ISPRS, (VOID,), options.layout.labels.tolerance)
    return FileReader(ISPRS, options.channel_count, partial(_tiles, listing, TEST_TILES[city]), decode, splits)
