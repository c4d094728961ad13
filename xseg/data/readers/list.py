"""Lists of images and masks: one text file per split, or a table."""

from __future__ import annotations

from xseg.data.lists import ListedPairs
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.readers.folder import decoder_of, known_classes
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError


def create(options: DataOptions) -> FileReader:
    """Return the reader for the pairs in a list."""
    root = root_folder(options.root)
    files, labels, splits = options.layout.files, options.layout.labels, SplitPlan.of(options.layout.splits)
    if labels.encoding == "files":
        raise ConfigError("encoding='files' with reader='list'", expected="one mask per image", remedy="use 'folder'")
    listing = ListedPairs(root, files.list or "{split}.txt", files)
    if not splits.fractions and not listing.has_splits():
        got = f"list={listing.list!r} does not assign images to train, val and test"
        expected = f"{{split}} in its name, or a column {files.split_column!r} in a CSV"
        raise ConfigError(got, expected=expected, remedy="set layout.splits.fractions, for example [0.8, 0.1, 0.1]")
    known = known_classes(root, labels, listing, splits.names[0])
    return FileReader(known, options.channel_count, listing, decoder_of(known, labels), splits)
