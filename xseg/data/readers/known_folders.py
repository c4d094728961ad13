"""Known data sets of images and masks of class numbers in folders: ADE20K, Cityscapes and LoveDA."""

from __future__ import annotations

from dataclasses import replace

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, variant_of
from xseg.labels.known import ADE20K, CITYSCAPES, LOVEDA

_TRAIN_IDS = replace(CITYSCAPES, raw_ids=tuple(range(len(CITYSCAPES))), ignored_raw_ids=())
CITYSCAPES_VARIANTS = {
    "fine": ("gtFine", "labelIds", CITYSCAPES),
    "coarse": ("gtCoarse", "labelIds", CITYSCAPES),
    "train_ids": ("gtFine", "labelTrainIds", _TRAIN_IDS),
}
"""fine: gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png as downloaded. coarse: gtCoarse, with the additional training split
train_extra. train_ids: labelTrainIds files written by cityscapesScripts."""
LOVEDA_VARIANTS = {"all": "*", "rural": "Rural", "urban": "Urban"}
"""all: both domains, with names that start with the domain. rural, urban: one domain."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for the data set in root.

    ADE20K, as in the MIT Scene Parsing Benchmark (SceneParse150, ADEChallengeData2016), has images/ and annotations/,
    each with training/ and validation/. Its masks number 150 classes from 1; 0 is everything else and is ignored. The
    test labels are not public; layout.splits.test can name the validation split. Cityscapes has street scenes with 19
    classes in leftImg8bit/, and the labels of the variant. LoveDA, land cover in aerial images of 1024x1024, has
    Train/, Val/ and Test/, each with images_png/ and masks_png/ in Rural/ and Urban/. Its masks number the classes from
    1; 0 is no data and is ignored. The labels of Test are not public.

    Source: CSAILVision/sceneparsing, README; cityscapesScripts, README and helpers/labels.py; Wang et al. 2021,
    "LoveDA", and Junjue-Wang/LoveDA, README.
    """
    if options.reader == "ade20k":
        names = ("training", "validation", "testing")
        return folder_reader(options, ADE20K, "images/{split}", "annotations/{split}", names=names, optional=names[2:])
    if options.reader == "loveda":
        names = ("Train", "Val", "Test")
        domain = variant_of(options, LOVEDA_VARIANTS)
        images, masks = (f"{{split}}/{domain}/{folder}/{{name}}.png" for folder in ("images_png", "masks_png"))
        return folder_reader(options, LOVEDA, images, masks, names=names, optional=names[2:])
    folder, kind, labels = variant_of(options, CITYSCAPES_VARIANTS)
    images = "leftImg8bit/{split}/*/{name}_leftImg8bit.png"
    return folder_reader(options, labels, images, f"{folder}/{{split}}/*/{{name}}_{folder}_{kind}.png")
