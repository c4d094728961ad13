"""List the files of a split without stopping at the first fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from xseg.data.pairs import FileReader
from xseg.data.patterns import NAME, SPLIT, FolderListing, name_in, split_pattern, without_masks
from xseg.data.sample import Reader, Record
from xseg.doctor.summary import Stray
from xseg.errors import DataError
from xseg.images.reading import IMAGE_SUFFIXES
from xseg.types import SPLITS, Split

_DESKTOP_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Task:
    """One image and mask to examine; without a record for the reader, the file has no partner.

    `similar` is, for an image without a mask, the file with the name most similar to the expected mask, if any.
    """

    name: str
    image: Path | None
    mask: Path | None
    record: Record | None
    similar: Path | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a split: pairs by name, of which one file may be missing; the rest is as in `SplitSummary`."""

    tasks: tuple[Task, ...] = ()
    strays: tuple[Stray, ...] = ()
    fault: str = ""
    exists: bool = True


def list_split(reader: Reader, split: Split) -> Listing:
    """List the files of a split: all files in its folders, or else the records of its reader."""
    if isinstance(reader, FileReader) and isinstance(reader.listing, FolderListing) and not reader.listing.classes:
        return _list_folders(reader, reader.listing, split)
    try:
        records = reader.records(split)
    except DataError as error:
        return Listing(fault=str(error))
    return Listing(tuple(Task(record.name, _file(record.image), _file(record.mask), record) for record in records))


def _file(path: Path | None) -> Path | None:
    """Return an existing image file; None for a text file with the shapes of many images."""
    return path if path is not None and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() else None


def _list_folders(reader: FileReader, listing: FolderListing, split: Split) -> Listing:
    plan = reader.splits
    part = plan.names[SPLITS.index(split)]
    patterns = [pattern.replace(SPLIT, part) for pattern in (listing.images, listing.masks)]
    (images, image_strays), (masks, mask_strays) = (_list_folder(listing.root, pattern) for pattern in patterns)
    # if several splits share a part, the first one gets the files without image
    first = plan.names.index(part) == SPLITS.index(split)
    strays = tuple(dict.fromkeys((*image_strays, *mask_strays))) if first else ()
    if images is None or (masks is None and not images):
        folder = listing.root / split_pattern(patterns[0 if images is None else 1])[0]
        exists = images is not None or masks is not None
        return Listing(fault=f"{folder} does not exist or is not a folder", strays=strays, exists=exists)
    masks = masks or {}
    valid = _list_folder(listing.root, listing.valid.replace(SPLIT, part))[0] if listing.valid else None
    images = without_masks(images, (masks, valid or {}))
    paired = [masks[name] for name in images if name in masks]
    similar = listing.similar_masks(part, [name for name in images if name not in masks], {*images.values(), *paired})
    alone = set(masks) - set(images) - {name for name, path in masks.items() if path in similar.values()}
    try:
        every = [Record(name, path, masks.get(name)) for name, path in images.items()]
        records = reader.planned(split, lambda _: every)
    except DataError as error:
        return Listing(fault=str(error), strays=strays)
    tasks = []
    for record in records:
        whole = record.mask is not None or part in listing.optional
        found = similar.get(record.name)
        tasks.append(Task(record.name, record.image, record.mask, record if whole else None, found))
    tasks += [Task(name, None, masks[name], None) for name in alone if first]
    return Listing(tuple(sorted(tasks, key=lambda task: task.name)), strays)


def _list_folder(root: Path, pattern: str) -> tuple[dict[str, Path] | None, list[Stray]]:
    """Return the files of a folder or glob by name (None if the folder is missing), and the stray files."""
    folder, glob = split_pattern(pattern)
    base = root / folder
    if not base.is_dir():
        return None, []
    found: dict[str, Path] = {}
    strays: list[Stray] = []
    matched = set(base.glob(glob.replace(NAME, "*")))
    for path in sorted(matched):
        stray = _stray(path)
        if stray is not None:
            strays.append(stray)
        elif path.is_file():
            name = name_in(path.relative_to(base), glob)
            if name in found:
                strays.append(Stray("same_name", path, f"beside {found[name]}"))
            else:
                found[name] = path
    strays.extend(_other_letter_case(base, glob, matched))
    return found, strays


def _stray(path: Path) -> Stray | None:
    """Return a path as a stray file if it is one; None for a folder or a good file."""
    if path.is_symlink() and not path.exists():  # also for circular links
        return Stray("broken_link", path, f"points to {path.readlink()}")
    if path.is_dir():
        return None
    if path.name.startswith(".") or path.name.lower() in _DESKTOP_FILES:
        return Stray("hidden", path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return Stray("no_image", path)
    return None


def _other_letter_case(base: Path, glob: str, matched: set[Path]) -> Iterator[Stray]:
    """Yield files that do not match a glob only because of upper or lower case: a.PNG for *.png."""
    if glob == "**/*":
        return
    lowered = glob.replace(NAME, "*").lower().replace("**/", "*")
    for path in sorted(base.rglob("*")):
        if path not in matched and fnmatch(path.relative_to(base).as_posix().lower(), lowered) and path.is_file():
            yield Stray("letter_case", path, f"the pattern is {glob}")
