"""Oxford-IIIT Pet: cats and dogs, with trimaps of pet, background and border."""

from __future__ import annotations

from xseg.data.lists import NamedFiles
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder, variant_of
from xseg.data.splits import SplitPlan
from xseg.labels.known import PET, PET_WITH_BORDER

VARIANTS = {"pet": PET, "border": PET_WITH_BORDER}
"""pet: two classes, without the border. border: the border is a third class."""
VALIDATION_SHARE = 0.1


def create(options: DataOptions) -> FileReader:
    """Return the reader for images/ and annotations/ in root.

    The data set has the splits trainval and test; a random tenth of trainval is used for validation, unless
    layout.splits sets other splits.

    Source: Parkhi et al. 2012, "Cats and Dogs"; annotations/README.
    """
    root = root_folder(options.root)
    listing = NamedFiles(root, "annotations/{split}.txt", "images", "annotations/trimaps", columns=True)
    shares = (1 - VALIDATION_SHARE, VALIDATION_SHARE, 0.0)
    splits = SplitPlan.of(options.layout.splits, ("trainval", "trainval", "test"), shares)
    return FileReader(variant_of(options, VARIANTS), options.channel_count, listing, splits=splits)
