"""LoveDA: land cover in 1024x1024 aerial images, rural and urban."""

from __future__ import annotations

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import FolderListing
from xseg.data.readers.variants import variant_of
from xseg.data.splits import SplitPlan
from xseg.labels.known import LOVEDA

VARIANTS = {"all": "*", "rural": "Rural", "urban": "Urban"}
"""all: both domains, which the records' names begin with. rural, urban: one of them."""


def create(options: DataOptions) -> FileReader:
    """Return the reader of Train/, Val/ and Test/, each with Rural/ and Urban/ of images_png/ and masks_png/.

    The masks number the classes from 1; 0 is no data and does not count. The labels of Test are not published.

    Raises:
        ConfigError: if there is no such variant.
        DataError: if root is no folder.

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
