"""Checks of masks: numbers, colours and edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import gcd
from typing import TypeAlias

from xseg.doctor.finding import Finding, Repair, Severity, first_places, listed, report
from xseg.doctor.summary import DataSummary, FileSummary, MaskSummary, PairSummary
from xseg.labels.label_map import LabelMap
from xseg.types import RGB, Split

INTERPOLATED = 0.1
"""Share of borders with a number between, from which a mask counts as interpolated. CamVid's real masks have at most
0.021, and at least 0.215 after halving them with linear interpolation."""
_NAMED = 3  # values listed per file
Masks: TypeAlias = Sequence[tuple[PairSummary, MaskSummary]]


def colors(summary: DataSummary) -> Iterator[Finding]:
    """Find masks with colours instead of class numbers."""
    for split, masks in _numeric_masks(summary):
        colored = [(p, m) for p, m in masks if m.colors and not m.equal_channels and not _lossy(p)]
        known = set(summary.labels.colors)
        all_known = all(set(mask.colors) <= known and not mask.more_colors for _, mask in colored)
        title = "masks with colours instead of class numbers"
        remedy = "set layout.labels.encoding to color, or convert the colours to class numbers"
        places = ((pair.mask_path, _format_colors(mask)) for pair, mask in colored)
        repairs = (Repair(_file(pair).path, "colors") for pair, _ in colored if all_known)
        yield from report("color-masks", "error", split, title, remedy, places, repairs)


def equal_channels(summary: DataSummary) -> Iterator[Finding]:
    """Find class numbers stored as grey RGB or with transparency."""
    remedy = "write them with one channel"
    for split, masks in _numeric_masks(summary):
        equal = [(p, m) for p, m in masks if m.colors and m.equal_channels and not _lossy(p)]
        for check, transparent, title in (
            ("grey-rgb-masks", False, "masks with class numbers in three equal channels"),
            ("alpha-masks", True, "masks with an alpha channel"),
        ):
            some = [pair for pair, mask in equal if mask.transparency == transparent]
            repairs = (Repair(_file(pair).path, "one_channel") for pair in some)
            yield from report(check, "error", split, title, remedy, map(_mode, some), repairs)


def lossy(summary: DataSummary) -> Iterator[Finding]:
    """Find masks with lossy compression."""
    for split, masks in _numeric_masks(summary):
        changed = [(pair, mask) for pair, mask in masks if _lossy(pair)]
        harmful = any(mask.unknown_pixels or mask.colors for _, mask in changed)
        severity: Severity = "error" if harmful else "warning"
        title = "masks saved as JPEG or in another lossy format"
        remedy = "export them again as PNG, or read colours or black and white with layout.labels.tolerance"
        yield from report("lossy-masks", severity, split, title, remedy, _with_values(changed))


def interpolated(summary: DataSummary) -> Iterator[Finding]:
    """Find masks whose edges hold numbers between those of both sides."""
    for split, masks in _numeric_masks(summary):
        blurred = ((pair.mask_path, 100 * mask.between) for pair, mask in masks if _interpolated(pair, mask))
        places = ((path, f"a number between at {share:.0f} % of the borders") for path, share in blurred)
        title = "masks with antialiased edges, or resized with interpolation"
        remedy = "export them again, or resize the originals with nearest neighbour"
        yield from report("interpolated-masks", "error", split, title, remedy, places)


def values(summary: DataSummary) -> Iterator[Finding]:
    """Find numbers that belong to no class, with their probable cause."""
    for split, every in _numeric_masks(summary):
        # the others are reported by the checks above
        masks = [(p, m) for p, m in every if not (m.colors or _lossy(p) or _interpolated(p, m))]
        finding = binary(masks, summary.labels, split)
        suspects = [(pair, mask) for pair, mask in masks if mask.unknown_pixels]
        if finding is None and suspects:
            numbers = set().union(*(mask.numbers for _, mask in masks))
            finding = (
                _from_one(masks, numbers, summary.labels, split)
                or _one_more_class(suspects, numbers, summary.labels, split)
                or _stretched(suspects, summary.labels, split)
                or _unknown(suspects, masks, summary.labels, split)
            )
        if finding is not None:
            yield finding


def binary(masks: Masks, labels: LabelMap, split: Split) -> Finding | None:
    """Return the finding for masks of two classes with only 0 and 255."""
    numbers = set().union(*(mask.numbers for _, mask in masks))
    meanings = labels.train_ids()
    if numbers != {0, 255} or len(labels) != 2 or 255 in labels.raw_ids or meanings.get(0) == labels.ignore_index:
        return None
    meaning = "which is ignored" if meanings.get(255) == labels.ignore_index else "which belongs to no class"
    shown = [(pair, mask) for pair, mask in masks if 255 in mask.numbers]
    table = ((255, labels.raw_ids[1]), (0, labels.raw_ids[0]))
    title = f"masks of the {split} split hold only the values 0 and 255, {meaning}"
    remedy = "if 255 is the second class, set layout.labels.encoding to binary, or set raw_ids to [0, 255]"
    repairs = tuple(Repair(_file(p).path, "renumber", table=table) for p, _ in masks if p.mask_file is not None)
    return _about(shown, "binary-0-255", split, title, remedy, repairs)


def deep(summary: DataSummary) -> Iterator[Finding]:
    """Find masks of 16 or 32 bits or floats whose numbers fit into 8 bits."""
    for split, masks in _numeric_masks(summary):
        wide = ((pair, mask) for pair, mask in masks if _file(pair).mode.startswith(("I", "F")))
        pairs = [pair for pair, mask in wide if max(mask.numbers, default=0) <= 255]
        repairs = (Repair(_file(pair).path, "shallow") for pair in pairs)
        title = "masks of 16 bits or more whose numbers fit into 8"
        remedy = "write them with 8 bits: viewers show them black, and other programs may misread them"
        yield from report("deep-masks", "warning", split, title, remedy, map(_mode, pairs), repairs)


def palettes(summary: DataSummary) -> Iterator[Finding]:
    """Find palette images with different colours for the same number, which may stand for different classes."""
    for split, masks in _numeric_masks(summary):
        painted: dict[int, dict[RGB, PairSummary]] = defaultdict(dict)
        for pair, mask in masks:
            for number, color in mask.palette.items():
                painted[number].setdefault(color, pair)
        differing = {number: firsts for number, firsts in painted.items() if len(firsts) > 1}
        if differing:
            places = [
                (pair.mask_path, f"number {number} is {color}")
                for number, firsts in sorted(differing.items())
                for color, pair in list(firsts.items())[:2]
            ]
            title = f"class numbers with different palette colours in different files: {len(differing)}"
            remedy = "check that a number means the same class in every file; some programs number each file separately"
            yield Finding("palettes-differ", "warning", split, title, remedy, len(differing), first_places(places))


def _from_one(masks: Masks, numbers: set[int], labels: LabelMap, split: Split) -> Finding | None:
    count = len(labels)
    counted = numbers - {labels.ignore_index, *labels.ignored_raw_ids}
    if labels.raw_ids != tuple(range(count)) or 0 in numbers or max(counted) != count:
        return None
    table = tuple((number, number - 1) for number in range(1, count + 1))
    title = f"the masks number the classes from 1 to {count}, but the {count} names stand for 0 to {count - 1}"
    remedy = f"set raw_ids to {list(range(1, count + 1))}, or subtract 1 from the numbers"
    repairs = tuple(Repair(_file(pair).path, "renumber", table=table) for pair, _ in masks)
    wrong = [(pair, mask) for pair, mask in masks if mask.unknown_pixels]
    return _about(wrong, "numbers-from-one", split, title, remedy, repairs)


def _one_more_class(suspects: Masks, numbers: set[int], labels: LabelMap, split: Split) -> Finding | None:
    last = max(labels.raw_ids)
    unknown = set().union(*({entry.value for entry in mask.unknown} for _, mask in suspects))
    if unknown != set(range(last + 1, last + 1 + len(unknown))) or len(unknown) > 3 or 0 not in numbers:
        return None
    following = ", ".join(map(str, sorted(unknown)))
    title = f"{len(labels)} classes have names, but masks also hold the next number: {following} in {len(suspects)}"
    remedy = f"add a class name; or if {following} is void, add it to ignored_raw_ids"
    return _about(suspects, "class-count", split, title, remedy)


def _stretched(suspects: Masks, labels: LabelMap, split: Split) -> Finding | None:
    """Recognise numbers that were multiplied for display: 0, 85, 170, 255 for 0, 1, 2, 3."""
    numbers = set().union(*(mask.numbers for _, mask in suspects))
    factor = gcd(*numbers)
    whole = all(mask.unknown_values == len(mask.unknown) for _, mask in suspects)
    if not whole or factor < 2 or len(numbers - {0}) < 2 or not {n // factor for n in numbers} <= set(labels.raw_ids):
        return None
    table = tuple((raw * factor, raw) for raw in labels.raw_ids)
    title = f"masks with class numbers multiplied by {factor}, as for display: {len(suspects)}"
    repairs = tuple(Repair(_file(pair).path, "renumber", table=table) for pair, _ in suspects)
    return _about(suspects, "stretched-values", split, title, f"divide them by {factor}", repairs)


def _unknown(suspects: Masks, masks: Masks, labels: LabelMap, split: Split) -> Finding:
    pixels: dict[int, int] = defaultdict(int)
    for _, mask in suspects:
        for entry in mask.unknown:
            pixels[entry.value] += entry.pixels
    title = f"masks with values that belong to no class: {len(suspects)} of {len(masks)}"
    remedy = f"add them to the label map or to ignored_raw_ids; known values are {sorted(labels.train_ids())[:24]}"
    places = first_places((pair.mask_path, _format_unknown(mask)) for pair, mask in suspects)
    numbers = {"pixels": {str(value): count for value, count in sorted(pixels.items())}}
    return Finding("unknown-values", "error", split, title, remedy, len(suspects), places, numbers=numbers)


def _about(
    masks: Masks, check: str, split: Split, title: str, remedy: str, repairs: tuple[Repair, ...] = ()
) -> Finding:
    """Return an error about masks, with their numbers."""
    return Finding(check, "error", split, title, remedy, len(masks), first_places(_with_values(masks)), repairs)


def _numeric_masks(summary: DataSummary) -> Iterator[tuple[Split, Masks]]:
    """Yield the masks of each split except copies of the image, which another check reports.

    There are none if mask files do not hold numbers, as the reader has then checked their content.
    """
    for split, found in summary.splits.items() if summary.numeric_masks else ():
        yield split, [(pair, mask) for pair, mask in found.masks() if not pair.same_file]


def _file(pair: PairSummary) -> FileSummary:
    if pair.mask_file is None:
        raise ValueError(f"{pair.name} has no mask file")
    return pair.mask_file


def _mode(pair: PairSummary) -> tuple[str, str]:
    return pair.mask_path, f"mode {_file(pair).mode}"


def _with_values(masks: Masks) -> Iterator[tuple[str, str]]:
    return ((pair.mask_path, _format_values(mask)) for pair, mask in masks)


def _lossy(pair: PairSummary) -> bool:
    return pair.mask_file is not None and pair.mask_file.lossy


def _interpolated(pair: PairSummary, mask: MaskSummary) -> bool:
    return mask.between > INTERPOLATED and not _lossy(pair)


def _format_values(mask: MaskSummary) -> str:
    if mask.colors and not mask.equal_channels:
        return _format_colors(mask)
    return f"values {listed([*map(str, sorted(mask.numbers))], 8, mask.unknown_values - len(mask.unknown))}"


def _format_colors(mask: MaskSummary) -> str:
    return f"colours {listed([*map(str, mask.colors)], _NAMED, mask.more_colors)}"


def _format_unknown(mask: MaskSummary) -> str:
    shown = "; ".join(
        f"value {entry.value} in {entry.pixels} pixels, the first at row {entry.row}, column {entry.column}"
        for entry in mask.unknown[:_NAMED]
    )
    more = mask.unknown_values - _NAMED
    return shown + (f"; and {more} more values" if more > 0 else "")
