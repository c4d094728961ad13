"""CVAT's export "segmentation mask 1.1": PASCAL VOC's folders with the user's colours in labelmap.txt."""

from __future__ import annotations

from xseg.data.label_files import read_labels
from xseg.data.lists import NamedFiles
from xseg.data.masks.colors import ColorMasks
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError

LABELS, LISTS = "labelmap.txt", "ImageSets/Segmentation"
ONLY_PART = "default"  # CVAT's name for the images of a task without subsets


def create(options: DataOptions) -> FileReader:
    """Return the reader for JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/ in root.

    Images in CVAT's subset "default" are split by layout.splits.fractions; subsets train, val and test are used as they
    are.

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
        got = f"{root / LISTS} has only the list default.txt with all images"
        expected = "train.txt and val.txt, or layout.splits.fractions"
        raise ConfigError(got, expected=expected, remedy="set layout.splits.fractions, for example [0.8, 0.1, 0.1]")
    listing = NamedFiles(root, f"{LISTS}/{{split}}.txt", "JPEGImages", "SegmentationClass")
    decode = ColorMasks(known, labels.ignored_colors, labels.tolerance)
    return FileReader(known, options.channel_count, listing, decode, splits)
