"""CamVid in SegNet's layout: 360x480 PNGs, 11 classes and void, 367/101/233 images."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader
from xseg.labels.known import CAMVID


def create(options: DataOptions) -> FileReader:
    """Return the reader for train/, trainannot/, val/, valannot/, test/ and testannot/ in root."""
    return folder_reader(options, CAMVID, "{split}", "{split}annot")
