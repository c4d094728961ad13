"""Likely class names of a published model, by its number of outputs."""

from __future__ import annotations

from xseg.labels.known import ADE20K, CITYSCAPES, COCO_THINGS, VOC, voc_colors
from xseg.labels.label_map import LabelMap

# Numbers up to 90 that COCO's annotations do not use.
COCO_ABSENT = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def label_set(classes: int) -> tuple[LabelMap, str]:
    """Return the classes on which a model with this number of outputs was most likely trained.

    Returns:
        The label map and the name of the set; numbered classes and "" if no known set has this number of classes.
    """
    known = {
        len(VOC): (VOC, "PASCAL VOC"),
        len(CITYSCAPES): (CITYSCAPES, "Cityscapes"),
        len(ADE20K): (ADE20K, "ADE20K"),
    }
    if classes in known:
        return known[classes]
    if classes == len(ADE20K) + 1:
        return LabelMap(("background", *ADE20K.names), ((0, 0, 0), *ADE20K.colors)), "ADE20K"
    if classes == len(COCO_THINGS) + 1:
        return LabelMap(("background", *COCO_THINGS), voc_colors(classes)), "COCO"
    if classes == len(COCO_THINGS) + len(COCO_ABSENT) + 1:
        things = iter(COCO_THINGS)
        names = (f"unused {number}" if number in COCO_ABSENT else next(things) for number in range(1, classes))
        return LabelMap(("background", *names), voc_colors(classes)), "COCO, by its own numbers"
    return LabelMap(tuple(f"class {index}" for index in range(classes))), ""
