"""CVAT's export "segmentation mask 1.1": PASCAL VOC's folders with colours of one's own in labelmap.txt."""

from __future__ import annotations

from xseg.data.label_files import read_labels
from xseg.data.lists import NamedFiles
from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError

LABELS, LISTS = "labelmap.txt", "ImageSets/Segmentation"
ONLY_PART = "default"  # what CVAT calls a task's images that are in no subset


def create(options: DataOptions) -> FileReader:
    """Return the reader of JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/ below root.

    Images that are in CVAT's subset "default" are divided by layout.splits.fractions; with subsets train, val and test
    there is nothing to divide.

    Raises:
        ConfigError: if all images are in one subset and no division is asked for, or colours are not apart.
        DataError: if root is no folder, or labelmap.txt cannot be read.

    Source: CVAT, dataset formats, "Segmentation mask"; Datumaro's VOC exporter.
    """
    root = root_folder(options.root)
    labels = options.layout.labels
    known = read_labels(root / (labels.file or LABELS), labels)
    given, train = options.layout.splits, "train"
    if not given.train and not (root / LISTS / "train.txt").is_file() and (root / LISTS / "default.txt").is_file():
        train = ONLY_PART
    splits = SplitPlan.of(given, (train, "val", "test"))
    if train == ONLY_PART and not splits.fractions:
        raise ConfigError(
            f"{root / LISTS} has all images in the one list default.txt",
            expected="train.txt and val.txt, or a division",
            remedy="set layout.splits.fractions, for example [0.8, 0.1, 0.1]",
        )
    listing = NamedFiles(root, f"{LISTS}/{{split}}.txt", "JPEGImages", "SegmentationClass")
    decode = ColorMasks(known, labels.ignored_colors, labels.tolerance)
    return FileReader(known, options.channels, listing, decode, splits)
