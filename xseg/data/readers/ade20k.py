"""ADE20K as the MIT Scene Parsing Benchmark cuts it (SceneParse150, ADEChallengeData2016): 150 classes."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.splits import SplitPlan
from xseg.labels.known import ADE20K


def create(options: DataOptions) -> FileReader:
    """Return the reader of images/ and annotations/, each with training/ and validation/, below root.

    The masks number the classes from 1; 0 is everything else and does not count. The benchmark keeps the labels of
    its test images, which have no masks; layout.splits.test can name the validation part.

    Raises:
        DataError: if root is no folder.

    Source: CSAILVision/sceneparsing, README.
    """
    root = root_folder(options.root)
    listing = FolderListing(root, images="images/{split}", masks="annotations/{split}", optional=("testing",))
    splits = SplitPlan.of(options.layout.splits, ("training", "validation", "testing"))
    return FileReader(ADE20K, options.channels, listing, splits=splits)
