"""LoveDA: land cover in rural and urban aerial images of 1024x1024."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, folder_reader, variant_of
from xseg.labels.known import LOVEDA

VARIANTS = {"all": "*", "rural": "Rural", "urban": "Urban"}
"""all: both domains, with names that start with the domain. rural, urban: one domain."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for Train/, Val/ and Test/, each with images_png/ and masks_png/ in Rural/ and Urban/.

    The masks number the classes from 1; 0 is no data and is ignored. The labels of Test are not public.

    Source: Wang et al. 2021, "LoveDA"; Junjue-Wang/LoveDA, README.
    """
    domain = variant_of(options, VARIANTS)
    images, masks = (f"{{split}}/{domain}/{folder}/{{name}}.png" for folder in ("images_png", "masks_png"))
    return folder_reader(options, LOVEDA, images, masks, names=("Train", "Val", "Test"), optional=("Test",))
