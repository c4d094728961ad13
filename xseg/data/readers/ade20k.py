"""ADE20K as in the MIT Scene Parsing Benchmark (SceneParse150, ADEChallengeData2016): 150 classes."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.splits import SplitPlan
from xseg.labels.known import ADE20K


def create(options: DataOptions) -> FileReader:
    """Return the reader for images/ and annotations/, each with training/ and validation/, in root.

    The masks number the classes from 1; 0 is everything else and is ignored. The test labels are not public;
    layout.splits.test can name the validation split.

    Source: CSAILVision/sceneparsing, README.
    """
    root = root_folder(options.root)
    listing = FolderListing(root, images="images/{split}", masks="annotations/{split}", optional=("testing",))
    splits = SplitPlan.of(options.layout.splits, ("training", "validation", "testing"))
    return FileReader(ADE20K, options.channels, listing, splits=splits)
