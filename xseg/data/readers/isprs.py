"""Common parts of the two cities in the ISPRS 2D semantic labelling benchmark: colours, and splits by tile."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.sample import Record
from xseg.data.splits import SplitPlan
from xseg.errors import DataError
from xseg.labels.known import ISPRS, VOID


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


def create_isprs(options: DataOptions, images: str, masks: str, test: Collection[str]) -> FileReader:
    """Return the reader for the tiles of a city.

    The benchmark has no validation split: as in most publications, the test tiles are used for validation, unless
    layout.splits.fractions divides the training tiles. Black, the eroded class borders, is ignored.

    Args:
        options: data options with root, layout.files for other images or labels, and the label tolerance.
        images: default pattern of the images below root.
        masks: default pattern of the labels below root.
        test: names of the test tiles.

    Raises:
        ConfigError: if the tolerance is too large for the colours.
        DataError: if root is not a folder.
    """
    root = root_folder(options.root)
    files = options.layout.files
    listing = FolderListing(root, files.images or images, files.masks or masks)
    splits = SplitPlan.of(options.layout.splits, ("train", "test", "test"))
    decode = ColorMasks(ISPRS, (VOID,), options.layout.labels.tolerance)
    return FileReader(ISPRS, options.channel_count, partial(_tiles, listing, test), decode, splits)
