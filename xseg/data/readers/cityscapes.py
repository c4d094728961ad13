"""Cityscapes: street scenes with 19 classes, by the numbers in the labelIds files."""

from __future__ import annotations

from dataclasses import replace

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, variant_of
from xseg.labels.known import CITYSCAPES

_TRAIN_IDS = replace(CITYSCAPES, raw_ids=tuple(range(len(CITYSCAPES))), ignored_raw_ids=())
VARIANTS = {
    "fine": ("gtFine", "labelIds", CITYSCAPES),
    "coarse": ("gtCoarse", "labelIds", CITYSCAPES),
    "train_ids": ("gtFine", "labelTrainIds", _TRAIN_IDS),
}
"""fine: gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png as downloaded. coarse: gtCoarse, with the additional training split
train_extra. train_ids: labelTrainIds files written by cityscapesScripts.
Source: cityscapesScripts, README and helpers/labels.py."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for leftImg8bit/ and the labels of the variant in root."""
    folder, kind, labels = variant_of(options, VARIANTS)
    images = "leftImg8bit/{split}/*/{name}_leftImg8bit.png"
    return folder_reader(options, labels, images, f"{folder}/{{split}}/*/{{name}}_{folder}_{kind}.png")
