"""COCO: instances as polygons and RLE, panoptic PNGs, and maps of things and stuff."""

from __future__ import annotations

from xseg.data.masks.coco import CocoListing, InstanceShapes, PanopticMasks
from xseg.data.masks.coco_json import categories_of
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, root_folder, variant_of
from xseg.data.patterns import SPLIT
from xseg.data.splits import SplitPlan
from xseg.labels.known import COCO_STUFF, COCO_STUFF_ONLY
from xseg.labels.label_map import LabelMap

PARTS = ("train2017", "val2017", "test2017")


VARIANTS: dict[str, tuple[str, LabelMap] | None] = {
    "instances": None,
    "panoptic": None,
    "stuff": ("stuffthingmaps/{split}", COCO_STUFF),
    "stuff_pixelmaps": ("annotations/stuff_{split}_pixelmaps", COCO_STUFF_ONLY),
}
"""instances: polygons and RLE. panoptic: segments of things and stuff. stuff: COCO-Stuff's 171 classes, from
stuffthingmaps_trainval2017. stuff_pixelmaps: its 91 kinds of stuff, from stuff_trainval2017. The last two are PNGs of
numbers with one folder per split."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for the variant in root.

    "instances" reads annotations/instances_SPLIT.json, or any JSON file in this format; "panoptic" reads
    annotations/panoptic_SPLIT/, with segments in annotations/panoptic_SPLIT.json.

    Source: COCO, "Data format"; nightrome/cocostuff, README.
    """
    root, files, labels = root_folder(options.root), options.layout.files, options.layout.labels
    images = files.images or "{split}"
    maps = variant_of(options, VARIANTS)
    if maps is not None:
        return folder_reader(options, maps[1], images, files.masks or maps[0], names=PARTS)
    splits = SplitPlan.of(options.layout.splits, PARTS)
    panoptic = options.layout.variant == "panoptic"
    file = files.list or f"annotations/{'panoptic' if panoptic else 'instances'}_{{split}}.json"
    masks = (files.masks or "annotations/panoptic_{split}") if panoptic else ""
    background = "" if panoptic else labels.background
    known = categories_of(root / file.replace(SPLIT, splits.names[0]), background, labels.ignore_index)
    parts = tuple((root / masks.replace(SPLIT, name), root / file.replace(SPLIT, name)) for name in splits.names)
    decode = PanopticMasks(known, parts) if panoptic else InstanceShapes(known, background)
    return FileReader(known, options.channel_count, CocoListing(root, file, images, masks), decode, splits)
