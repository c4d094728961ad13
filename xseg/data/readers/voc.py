"""PASCAL VOC 2012, with the additional masks of the Semantic Boundaries Dataset (SBD)."""

from __future__ import annotations

import numpy as np

from xseg.data.lists import NamedFiles
from xseg.data.masks.numbers import mask_of, read_index_mask
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder, variant_of
from xseg.data.sample import Array, Record
from xseg.data.splits import SplitPlan
from xseg.errors import DataError
from xseg.images.reading import decoding
from xseg.labels.known import VOC


def read_sbd(record: Record) -> Array:
    """Return the numbers of an SBD label, (H, W) uint8, from GTcls.Segmentation in a MATLAB 5 file.

    Raises:
        DataError: if the file cannot be read.

    Source: Hariharan et al. 2011, benchmark_RELEASE/BENCHMARK_README.
    """
    from scipy.io import loadmat

    path = mask_of(record)
    with decoding(path):
        segmentation = loadmat(str(path))["GTcls"]["Segmentation"][0, 0]
        if segmentation.dtype != np.uint8 or segmentation.ndim != 2:
            raise DataError(f"{path} holds {segmentation.dtype} of shape {segmentation.shape}", expected="uint8 (H, W)")
        return np.ascontiguousarray(segmentation)


VARIANTS = {
    "voc2012": ("ImageSets/Segmentation/{split}.txt", "JPEGImages", "SegmentationClass", "train"),
    "aug": ("ImageSets/Segmentation/{split}.txt", "JPEGImages", "SegmentationClassAug", "trainaug"),
    "sbd": ("{split}.txt", "img", "cls", "train"),
}
"""Text file with the image names of a split, folders of images and masks, and name of the training split. voc2012: the
devkit's VOC2012 folder, with 1,464 training images. aug: the same with SegmentationClassAug (the masks of SBD as PNGs,
which DeepLab and others use) and trainaug.txt with 10,582 names. sbd: the dataset folder of benchmark_RELEASE as
published by its authors."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for the variant in root."""
    root = root_folder(options.root)
    names, images, masks, train = variant_of(options, VARIANTS)
    decode, suffix = (read_sbd, ".mat") if options.layout.variant == "sbd" else (read_index_mask, ".png")
    listing = NamedFiles(root, names, images, masks, columns=True, mask_suffixes=frozenset({suffix}))
    splits = SplitPlan.of(options.layout.splits, (train, "val", "test"))
    return FileReader(VOC, options.channel_count, listing, decode, splits)
