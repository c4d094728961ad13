"""CamVid in SegNet's layout: 360x480 PNGs, 11 classes and void, 367/101/233 images."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.splits import SplitPlan
from xseg.labels.known import CAMVID


def create(options: DataOptions) -> FileReader:
    """Return the reader for train/, trainannot/, val/, valannot/, test/ and testannot/ in root."""
    root = root_folder(options.root)
    listing = FolderListing(root, images="{split}", masks="{split}annot")
    return FileReader(CAMVID, options.channels, listing, splits=SplitPlan.of(options.layout.splits))
