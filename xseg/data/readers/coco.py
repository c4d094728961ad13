"""COCO: instances as polygons and RLE, panoptic PNGs, and maps of things and stuff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xseg.data.masks.coco import CocoListing, InstanceShapes, PanopticMasks
from xseg.data.masks.coco_json import categories_of
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, root_folder, variant_of
from xseg.data.patterns import SPLIT
from xseg.data.splits import SplitPlan
from xseg.labels.known import COCO_STUFF, COCO_STUFF_ONLY
from xseg.labels.label_map import LabelMap

PARTS = ("train2017", "val2017", "test2017")


def create(options: DataOptions) -> FileReader:
    """Return the reader for the variant in root.

    Source: COCO, "Data format"; nightrome/cocostuff, README.
    """
    root_folder(options.root)
    return variant_of(options, VARIANTS)(options)


def _instances(options: DataOptions) -> FileReader:
    """Return the reader for annotations/instances_SPLIT.json, or any JSON file in this format."""
    root, files, labels = Path(options.root), options.layout.files, options.layout.labels
    splits = SplitPlan.of(options.layout.splits, PARTS)
    file = files.list or "annotations/instances_{split}.json"
    known = categories_of(root / file.replace(SPLIT, splits.names[0]), labels.background, labels.ignore_index)
    listing = CocoListing(root, file, files.images or "{split}")
    return FileReader(known, options.channel_count, listing, InstanceShapes(known, labels.background), splits)


def _panoptic(options: DataOptions) -> FileReader:
    """Return the reader for annotations/panoptic_SPLIT/, with segments in annotations/panoptic_SPLIT.json."""
    root, files, labels = Path(options.root), options.layout.files, options.layout.labels
    splits = SplitPlan.of(options.layout.splits, PARTS)
    file = files.list or "annotations/panoptic_{split}.json"
    known = categories_of(root / file.replace(SPLIT, splits.names[0]), "", labels.ignore_index)
    masks = files.masks or "annotations/panoptic_{split}"
    listing = CocoListing(root, file, files.images or "{split}", masks)
    parts = tuple((root / masks.replace(SPLIT, name), root / file.replace(SPLIT, name)) for name in splits.names)
    return FileReader(known, options.channel_count, listing, PanopticMasks(known, parts), splits)


def _maps(masks: str, labels: LabelMap) -> Callable[[DataOptions], FileReader]:
    """Return the function that creates a reader for PNGs of numbers with one folder per split."""

    def reader(options: DataOptions) -> FileReader:
        files = options.layout.files
        return folder_reader(options, labels, files.images or "{split}", files.masks or masks, names=PARTS)

    return reader


VARIANTS: dict[str, Callable[[DataOptions], FileReader]] = {
    "instances": _instances,
    "panoptic": _panoptic,
    "stuff": _maps("stuffthingmaps/{split}", COCO_STUFF),
    "stuff_pixelmaps": _maps("annotations/stuff_{split}_pixelmaps", COCO_STUFF_ONLY),
}
"""instances: polygons and RLE. panoptic: segments of things and stuff. stuff: COCO-Stuff's 171 classes, from
stuffthingmaps_trainval2017. stuff_pixelmaps: its 91 kinds of stuff, from stuff_trainval2017."""
