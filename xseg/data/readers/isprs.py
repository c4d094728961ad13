"""What the two cities of the ISPRS 2D semantic labelling benchmark share: colours, and parts by tile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.sample import Record
from xseg.data.splits import SplitPlan
from xseg.errors import DataError
from xseg.labels.known import ISPRS, VOID


@dataclass(frozen=True)
class TileParts:
    """Divides a benchmark's tiles into its training part and its test part.

    Args:
        tiles: lists all tiles.
        test: the names of the test tiles.
    """

    tiles: FolderListing
    test: Collection[str]

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the tiles of the part "train" or "test".

        Raises:
            DataError: as the listing does, or if there is no tile of this part.
        """
        if split not in ("train", "test"):
            raise DataError(f"the benchmark has no part {split!r}", expected="train or test")
        images = self.tiles.find_images(split)
        wanted = {name for name in images if (name in self.test) == (split == "test")}
        masks = self.tiles.find_parts(split)[0]
        alone = sorted(wanted - set(masks))
        if not wanted or alone:
            got = f"{self.tiles.root} has {len(wanted)} {split} tiles, {len(alone)} of them without a label"
            raise DataError(f"{got} ({', '.join(alone[:3])})" if alone else got, expected="tiles with their labels")
        return tuple(Record(name, images[name], masks[name]) for name in images if name in wanted)


def create_isprs(options: DataOptions, images: str, masks: str, test: Collection[str]) -> FileReader:
    """Return the reader of a city's tiles.

    The benchmark has no validation part: as in most publications, its test tiles serve for it, unless
    layout.splits.fractions divide the training tiles. Black, the eroded borders of classes, does not count.

    Args:
        options: root, layout.files to read other images or labels than the usual, and the labels' tolerance.
        images: the usual images' pattern below root.
        masks: the usual labels' pattern.
        test: the names of the test tiles.

    Raises:
        ConfigError: if the tolerance cannot tell the colours apart.
        DataError: if root is no folder.
    """
    root = root_folder(options.root)
    files = options.layout.files
    tiles = FolderListing(root, files.images or images, files.masks or masks)
    splits = SplitPlan.of(options.layout.splits, ("train", "test", "test"))
    decode = ColorMasks(ISPRS, (VOID,), options.layout.labels.tolerance)
    return FileReader(ISPRS, options.channels, TileParts(tiles, test), decode, splits)
