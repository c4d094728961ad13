"""Checks of files and folders: missing, unused, damaged or wrongly named files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from xseg.doctor.finding import Finding, Repair, Severity, first_places, report
from xseg.doctor.summary import DataSummary, PairSummary, SplitSummary, StrayKind
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
            places = ((stray.path, stray.detail) for stray in found.strays if stray.kind == kind)
            yield from report(check, severity, split, title, remedy, places)


def unpaired(summary: DataSummary) -> Iterator[Finding]:
    """Find images without a mask, and masks without an image."""
    for split, found in summary.splits.items():
        images = [pair for pair in found.pairs if pair.image_file is not None]
        # the labels of a test split are often not public
        lacking = [pair for pair in images if (split != "test" if pair.unlabelled else pair.unpaired)]
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
        pairs = [pair for pair in found.pairs if any(file.length == 0 for file in pair.files())]
        places = ((file.path, "0 bytes") for pair in pairs for file in pair.files() if file.length == 0)
        remedy = "copy them again from their source"
        yield from report("empty-files", "error", split, "empty files", remedy, places, leave_out(*pairs))


def unreadable(summary: DataSummary) -> Iterator[Finding]:
    """Find files that cannot be decoded completely."""
    for split, found in summary.splits.items():
        pairs = [pair for pair in found.pairs if any(file.fault and file.length for file in pair.files())]
        files = [file for pair in pairs for file in pair.files() if file.fault and file.length]
        # the path is shown beside the fault
        places = ((file.path, file.fault.removeprefix("mask ").removeprefix(f"{file.path} ")) for file in files)
        title = "files that cannot be read completely"
        remedy = "copy them again from their source, or remove each with its image or mask"
        yield from report("unreadable-files", "error", split, title, remedy, places, leave_out(*pairs))


def refused(summary: DataSummary) -> Iterator[Finding]:
    """Find records that the reader of the layout refuses."""
    for split, found in summary.splits.items():
        places = ((pair.name, pair.fault) for pair in found.pairs if pair.fault)
        title, remedy = "records that cannot be read", "see the message of each record"
        yield from report("refused-records", "error", split, title, remedy, places, total=len(found.pairs))


def suffixes(summary: DataSummary) -> Iterator[Finding]:
    """Find files whose suffix names another format."""
    for split, found in summary.splits.items():
        files = [file for file in found.files() if file.format in _SUFFIXES]
        wrong = [file for file in files if file.path.suffix.lower() not in _SUFFIXES[file.format]]
        places = ((file.path, f"is {file.format}") for file in wrong)
        repairs = (Repair(file.path, "suffix", suffix=_SUFFIXES[file.format][0]) for file in wrong)
        title = "files whose suffix names another format"
        remedy = "rename them; other programs may rely on the suffix"
        yield from report("suffix-mismatch", "warning", split, title, remedy, places, repairs)


def names(summary: DataSummary) -> Iterator[Finding]:
    """Find names that some file systems do not distinguish or do not support."""
    for split, found in summary.splits.items():
        paths = [file.path for file in found.files()]
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            groups[str(path.with_suffix("")).lower()].append(path)
        collisions = (group for group in groups.values() if len({str(path.with_suffix("")) for path in group}) > 1)
        places = ((group[0], ", ".join(path.name for path in group[1:])) for group in collisions)
        title = "names that differ from another only in upper and lower case"
        remedy = "rename them: on Windows and macOS, one file replaces the other"
        yield from report("case-collision", "warning", split, title, remedy, places)
        strange = ((path, "") for path in paths if not path.name.isascii())
        title, remedy = "names with letters beyond ASCII", "rename them if other programs cannot read them; xseg can"
        yield from report("non-ascii-names", "note", split, title, remedy, strange)


def frames(summary: DataSummary) -> Iterator[Finding]:
    """Find animations, of which one frame is read; pages of a TIFF are channels, or reported when read."""
    for split, found in summary.splits.items():
        paged = (file for file in found.files() if file.format == "GIF" and file.frames > 1 and not file.fault)
        places = ((file.path, f"{file.frames} pictures") for file in paged)
        title = "animations, of which only the first frame is read"
        yield from report("animation", "warning", split, title, "write one file per frame", places)


def leave_out(*pairs: PairSummary) -> tuple[Repair, ...]:
    """Return the repairs that leave pairs out of a corrected copy."""
    paths = ((*(file.path for file in pair.files()), *([pair.similar] if pair.similar else [])) for pair in pairs)
    return tuple(Repair(path, "leave_out") for some in paths for path in some)


def _left_out(
    check: str, severity: Severity, split: Split, title: str, pairs: list[PairSummary], remedy: str
) -> Finding:
    """Return a finding about incomplete pairs, which can be left out."""
    places = first_places(
        (file.path, f"{pair.similar.name} looks like its mask" if pair.similar else "")
        for pair in pairs
        for file in pair.files()
    )
    return Finding(check, severity, split, title, remedy, len(pairs), places, leave_out(*pairs))
