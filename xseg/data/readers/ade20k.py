"""ADE20K as in the MIT Scene Parsing Benchmark (SceneParse150, ADEChallengeData2016): 150 classes."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader
from xseg.labels.known import ADE20K


def create(options: DataOptions) -> FileReader:
    """Return the reader for images/ and annotations/, each with training/ and validation/, in root.

    The masks number the classes from 1; 0 is everything else and is ignored. The test labels are not public;
    layout.splits.test can name the validation split.

    Source: CSAILVision/sceneparsing, README.
    """
    names = ("training", "validation", "testing")
    return folder_reader(options, ADE20K, "images/{split}", "annotations/{split}", names=names, optional=names[2:])
