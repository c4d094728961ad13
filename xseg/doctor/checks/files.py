"""Checks of files and folders: what is missing, in the way, damaged or named misleadingly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from xseg.doctor.finding import Finding, Repair, Severity, first_places
from xseg.doctor.summary import Facts, FileFacts, PairFacts, SplitFacts, StrayKind
from xseg.types import Split

# Pillow's names of formats and the suffixes that they go by; of other formats nothing is said.
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
        "links that point nowhere or in a circle, so that the split misses what they stand for",
        "restore the files, or remove the links",
    ),
    "same_name": (
        "same-name",
        "error",
        "files with the name of another but for the suffix, so that two images would share a mask",
        "keep one of each, or rename one",
    ),
    "hidden": ("hidden-files", "note", "hidden files among the images, which are passed over", "remove them"),
    "no_image": (
        "other-files",
        "note",
        "files among the images that are none, which are passed over",
        "move them elsewhere, or convert what should be an image",
    ),
    "letter_case": (
        "suffix-case",
        "warning",
        "files that miss the pattern only for upper or lower case, and are passed over",
        "rename them, or widen the pattern",
    ),
}


def splits(facts: Facts) -> Iterator[Finding]:
    """A split that is missing or holds nothing; no test split is fine. Where all do, it is one finding."""
    found = {split: _split_fault(split, one) for split, one in facts.splits.items()}
    if len(found) > 1 and not any(one.pairs for one in facts.splits.values()):
        (check, _, title), *_ = found.values()
        yield Finding(check, "error", None, f"{title}, and no other split has an image", _SPLIT_REMEDY, len(found))
        return
    for split, (check, severity, title) in found.items():
        if title and not (check == "split-missing" and split == "test"):
            yield Finding(check, severity, split, title, _SPLIT_REMEDY)


def _split_fault(split: Split, found: SplitFacts) -> tuple[str, Severity, str]:
    """Return the check, severity and title of what is wrong with a split; an empty title if nothing is."""
    if not found.exists:
        return "split-missing", "error", found.fault
    if found.fault:
        return "split-unlisted", "note" if split == "test" else "error", found.fault
    return "split-empty", "error", "" if found.pairs else f"the {split} split has no image"


def strays(facts: Facts) -> Iterator[Finding]:
    """Files that the reader passes over, or that hide another."""
    for split, found in facts.splits.items():
        for kind, (check, severity, title, remedy) in _STRAYS.items():
            files = [stray for stray in found.strays if stray.kind == kind]
            if files:
                places = first_places((stray.path, stray.detail) for stray in files)
                yield Finding(check, severity, split, f"{title}: {len(files)}", remedy, len(files), places)


def unpaired(facts: Facts) -> Iterator[Finding]:
    """Images without a mask, and masks without an image."""
    for split, found in facts.splits.items():
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


def empty(facts: Facts) -> Iterator[Finding]:
    """Files of no bytes."""
    for split, found in facts.splits.items():
        pairs = [pair for pair in found.pairs if any(file.length == 0 for file in files_of(pair))]
        files = [file for pair in pairs for file in files_of(pair) if file.length == 0]
        if files:
            yield Finding(
                "empty-files",
                "error",
                split,
                f"empty files: {len(files)}",
                "copy them again from where they came from",
                len(files),
                first_places((file.path, "0 bytes") for file in files),
                tuple(repair for pair in pairs for repair in leave_out(pair)),
            )


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Files that cannot be decoded to the last pixel."""
    for split, found in facts.splits.items():
        pairs = [pair for pair in found.pairs if any(file.fault and file.length for file in files_of(pair))]
        files = [file for pair in pairs for file in files_of(pair) if file.fault and file.length]
        if files:
            yield Finding(
                "unreadable-files",
                "error",
                split,
                f"files that cannot be read to their end: {len(files)}",
                "copy them again from where they came from, or remove them with their partner",
                len(files),
                first_places((file.path, _reason(file)) for file in files),
                tuple(repair for pair in pairs for repair in leave_out(pair)),
            )


def refused(facts: Facts) -> Iterator[Finding]:
    """Records that the layout's own reader refuses."""
    for split, found in facts.splits.items():
        pairs = [pair for pair in found.pairs if pair.fault]
        if pairs:
            yield Finding(
                "refused-records",
                "error",
                split,
                f"records that cannot be read: {len(pairs)} of {len(found.pairs)}",
                "see each record's message",
                len(pairs),
                first_places((pair.name, pair.fault) for pair in pairs),
            )


def suffixes(facts: Facts) -> Iterator[Finding]:
    """Files whose content is of another format than their name says."""
    for split, found in facts.splits.items():
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
                f"files of another format than their suffix says: {len(wrong)}",
                "rename them; programs that go by the name will stumble",
                len(wrong),
                first_places((file.path, f"is {file.format}") for file in wrong),
                tuple(Repair(file.path, "suffix", suffix=_SUFFIXES[file.format][0]) for file in wrong),
            )


def names(facts: Facts) -> Iterator[Finding]:
    """Names that some file systems cannot keep apart or cannot hold."""
    for split, found in facts.splits.items():
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
                "rename them: on Windows and macOS one replaces the other",
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
                "rename them if other programs stumble over them; xseg does not",
                len(strange),
                first_places((path, "") for path in strange),
            )


def frames(facts: Facts) -> Iterator[Finding]:
    """Animations, of which one picture is read; the pages of a TIFF are channels, or told by its reading."""
    for split, found in facts.splits.items():
        paged = [file for file in found.files() if file.format == "GIF" and file.frames > 1 and not file.fault]
        if paged:
            yield Finding(
                "animation",
                "warning",
                split,
                f"animations, of which the first picture is read: {len(paged)}",
                "write a file per picture",
                len(paged),
                first_places((file.path, f"{file.frames} pictures") for file in paged),
            )


def files_of(pair: PairFacts) -> tuple[FileFacts, ...]:
    """Return the files of a pair that there are."""
    return tuple(file for file in (pair.image_file, pair.mask_file) if file is not None)


def leave_out(pair: PairFacts) -> tuple[Repair, ...]:
    """Return the repairs that keep a pair out of a corrected copy."""
    paths = [*(file.path for file in files_of(pair)), *([pair.similar] if pair.similar else [])]
    return tuple(Repair(path, "leave_out") for path in paths)


def _lacks_mask(pair: PairFacts, split: Split) -> bool:
    if pair.unlabelled:
        return split != "test"  # whose labels many a data set keeps to itself
    return pair.unpaired


def _left_out(check: str, severity: Severity, split: Split, title: str, pairs: list[PairFacts], remedy: str) -> Finding:
    """Return a finding about pairs of which one file is missing, and the other can be left out."""
    places = first_places(
        (file.path, f"{pair.similar.name} looks like its mask" if pair.similar else "")
        for pair in pairs
        for file in files_of(pair)
    )
    repairs = tuple(repair for pair in pairs for repair in leave_out(pair))
    return Finding(check, severity, split, title, remedy, len(pairs), places, repairs)


def _reason(file: FileFacts) -> str:
    """Return a fault without the path that is shown beside it."""
    return file.fault.removeprefix("mask ").removeprefix(f"{file.path} ")
