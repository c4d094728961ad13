"""LoveDA: land cover in rural and urban aerial images of 1024x1024."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.readers.variants import variant_of
from xseg.data.splits import SplitPlan
from xseg.labels.known import LOVEDA

VARIANTS = {"all": "*", "rural": "Rural", "urban": "Urban"}
"""all: both domains, with names that start with the domain. rural, urban: one domain."""


def create(options: DataOptions) -> FileReader:
    """Return the reader for Train/, Val/ and Test/, each with images_png/ and masks_png/ in Rural/ and Urban/.

    The masks number the classes from 1; 0 is no data and is ignored. The labels of Test are not public.

    Source: Wang et al. 2021, "LoveDA"; Junjue-Wang/LoveDA, README.
    """
    root = root_folder(options.root)
    domain = variant_of(options, VARIANTS)
    listing = FolderListing(
        root,
        images=f"{{split}}/{domain}/images_png/{{name}}.png",
        masks=f"{{split}}/{domain}/masks_png/{{name}}.png",
        optional=("Test",),
    )
    splits = SplitPlan.of(options.layout.splits, ("Train", "Val", "Test"))
    return FileReader(LOVEDA, options.channels, listing, splits=splits)
