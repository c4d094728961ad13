"""Checks of files and folders: missing, unused, damaged or wrongly named files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from xseg.doctor.finding import Finding, Repair, Severity, first_places
from xseg.doctor.summary import DataSummary, FileSummary, PairSummary, SplitSummary, StrayKind
from xseg.types import Split

# Pillow's names of formats and their suffixes; other formats are not checked.
_SUFFIXES = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "JPEG2000": (".jp2",),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_SPLIT_REMEDY = "add the files, or correct root and layout"
_STRAYS: dict[StrayKind, tuple[str, Severity, str, str]] = {
    "broken_link": (
        "broken-link",
        "error",
        "links that point nowhere or to themselves, so that the split lacks their files",
        "restore the files, or remove the links",
    ),
    "same_name": (
        "same-name",
        "error",
        "files that differ from another only in the suffix, so that two images would share a mask",
        "keep one of each, or rename one",
    ),
    "hidden": ("hidden-files", "note", "hidden files among the images, which are ignored", "remove them"),
    "no_image": (
        "other-files",
        "note",
        "other files among the images, which are ignored",
        "move them elsewhere, or convert them to images",
    ),
    "letter_case": (
        "suffix-case",
        "warning",
        "files that do not match the pattern because of upper or lower case, and are ignored",
        "rename them, or widen the pattern",
    ),
}


def splits(summary: DataSummary) -> Iterator[Finding]:
    """Find missing or empty splits, except a missing test split; if all are, report one finding."""
    found = {split: _split_fault(split, one) for split, one in summary.splits.items()}
    if len(found) > 1 and not any(one.pairs for one in summary.splits.values()):
        (check, _, title), *_ = found.values()
        yield Finding(check, "error", None, f"{title}, and no other split has an image", _SPLIT_REMEDY, len(found))
        return
    for split, (check, severity, title) in found.items():
        if title and not (check == "split-missing" and split == "test"):
            yield Finding(check, severity, split, title, _SPLIT_REMEDY)


def _split_fault(split: Split, found: SplitSummary) -> tuple[str, Severity, str]:
    """Return check, severity and title of a split's fault; an empty title if there is none."""
    if not found.exists:
        return "split-missing", "error", found.fault
    if found.fault:
        return "split-unlisted", "note" if split == "test" else "error", found.fault
    return "split-empty", "error", "" if found.pairs else f"the {split} split has no image"


def strays(summary: DataSummary) -> Iterator[Finding]:
    """Find files that the reader ignores, or that hide another file."""
    for split, found in summary.splits.items():
        for kind, (check, severity, title, remedy) in _STRAYS.items():
            files = [stray for stray in found.strays if stray.kind == kind]
            if files:
                places = first_places((stray.path, stray.detail) for stray in files)
                yield Finding(check, severity, split, f"{title}: {len(files)}", remedy, len(files), places)


def unpaired(summary: DataSummary) -> Iterator[Finding]:
    """Find images without a mask, and masks without an image."""
    for split, found in summary.splits.items():
        images = [pair for pair in found.pairs if pair.image_file is not None]
        lacking = [pair for pair in images if _lacks_mask(pair, split)]
        if lacking:
            title = f"images without a mask: {len(lacking)} of {len(images)}"
            remedy = "add the masks or remove the images"
            if any(pair.similar for pair in lacking):
                remedy = "rename the files that look like their masks; add other masks or remove the images"
            yield _left_out("image-without-mask", "error", split, title, lacking, remedy)
        alone = [pair for pair in found.pairs if pair.mask_file is not None and pair.image_file is None]
        if alone:
            title = f"masks without an image: {len(alone)}"
            yield _left_out("mask-without-image", "warning", split, title, alone, "add the images or remove the masks")


def empty(summary: DataSummary) -> Iterator[Finding]:
    """Find empty files."""
    for split, found in summary.splits.items():
        pairs = [pair for pair in found.pairs if any(file.length == 0 for file in files_of(pair))]
        files = [file for pair in pairs for file in files_of(pair) if file.length == 0]
        if files:
            yield Finding(
                "empty-files",
                "error",
                split,
                f"empty files: {len(files)}",
                "copy them again from their source",
                len(files),
                first_places((file.path, "0 bytes") for file in files),
                tuple(repair for pair in pairs for repair in leave_out(pair)),
            )


def unreadable(summary: DataSummary) -> Iterator[Finding]:
    """Find files that cannot be decoded completely."""
    for split, found in summary.splits.items():
        pairs = [pair for pair in found.pairs if any(file.fault and file.length for file in files_of(pair))]
        files = [file for pair in pairs for file in files_of(pair) if file.fault and file.length]
        if files:
            yield Finding(
                "unreadable-files",
                "error",
                split,
                f"files that cannot be read completely: {len(files)}",
                "copy them again from their source, or remove each with its image or mask",
                len(files),
                first_places((file.path, _reason(file)) for file in files),
                tuple(repair for pair in pairs for repair in leave_out(pair)),
            )


def refused(summary: DataSummary) -> Iterator[Finding]:
    """Find records that the reader of the layout refuses."""
    for split, found in summary.splits.items():
        pairs = [pair for pair in found.pairs if pair.fault]
        if pairs:
            yield Finding(
                "refused-records",
                "error",
                split,
                f"records that cannot be read: {len(pairs)} of {len(found.pairs)}",
                "see the message of each record",
                len(pairs),
                first_places((pair.name, pair.fault) for pair in pairs),
            )


def suffixes(summary: DataSummary) -> Iterator[Finding]:
    """Find files whose suffix names another format."""
    for split, found in summary.splits.items():
        wrong = [
            file
            for file in found.files()
            if file.format in _SUFFIXES and file.path.suffix.lower() not in _SUFFIXES[file.format]
        ]
        if wrong:
            yield Finding(
                "suffix-mismatch",
                "warning",
                split,
                f"files whose suffix names another format: {len(wrong)}",
                "rename them; other programs may rely on the suffix",
                len(wrong),
                first_places((file.path, f"is {file.format}") for file in wrong),
                tuple(Repair(file.path, "suffix", suffix=_SUFFIXES[file.format][0]) for file in wrong),
            )


def names(summary: DataSummary) -> Iterator[Finding]:
    """Find names that some file systems do not distinguish or do not support."""
    for split, found in summary.splits.items():
        paths = [file.path for file in found.files()]
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            groups[str(path.with_suffix("")).lower()].append(path)
        collisions = [group for group in groups.values() if len({str(path.with_suffix("")) for path in group}) > 1]
        if collisions:
            yield Finding(
                "case-collision",
                "warning",
                split,
                f"names that differ from another only in upper and lower case: {len(collisions)}",
                "rename them: on Windows and macOS, one file replaces the other",
                len(collisions),
                first_places((group[0], ", ".join(path.name for path in group[1:])) for group in collisions),
            )
        strange = [path for path in paths if not path.name.isascii()]
        if strange:
            yield Finding(
                "non-ascii-names",
                "note",
                split,
                f"names with letters beyond ASCII: {len(strange)}",
                "rename them if other programs cannot read them; xseg can",
                len(strange),
                first_places((path, "") for path in strange),
            )


def frames(summary: DataSummary) -> Iterator[Finding]:
    """Find animations, of which one frame is read; pages of a TIFF are channels, or reported when read."""
    for split, found in summary.splits.items():
        paged = [file for file in found.files() if file.format == "GIF" and file.frames > 1 and not file.fault]
        if paged:
            yield Finding(
                "animation",
                "warning",
                split,
                f"animations, of which only the first frame is read: {len(paged)}",
                "write one file per frame",
                len(paged),
                first_places((file.path, f"{file.frames} pictures") for file in paged),
            )


def files_of(pair: PairSummary) -> tuple[FileSummary, ...]:
    """Return the existing files of a pair."""
    return tuple(file for file in (pair.image_file, pair.mask_file) if file is not None)


def leave_out(pair: PairSummary) -> tuple[Repair, ...]:
    """Return the repairs that leave a pair out of a corrected copy."""
    paths = [*(file.path for file in files_of(pair)), *([pair.similar] if pair.similar else [])]
    return tuple(Repair(path, "leave_out") for path in paths)


def _lacks_mask(pair: PairSummary, split: Split) -> bool:
    if pair.unlabelled:
        return split != "test"  # whose labels are often not public
    return pair.unpaired


def _left_out(
    check: str, severity: Severity, split: Split, title: str, pairs: list[PairSummary], remedy: str
) -> Finding:
    """Return a finding about incomplete pairs, which can be left out."""
    places = first_places(
        (file.path, f"{pair.similar.name} looks like its mask" if pair.similar else "")
        for pair in pairs
        for file in files_of(pair)
    )
    repairs = tuple(repair for pair in pairs for repair in leave_out(pair))
    return Finding(check, severity, split, title, remedy, len(pairs), places, repairs)


def _reason(file: FileSummary) -> str:
    """Return a fault without the path, which is shown beside it."""
    return file.fault.removeprefix("mask ").removeprefix(f"{file.path} ")
