"""Checks of masks: numbers, colours and edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import gcd
from typing import TypeAlias

from xseg.doctor.finding import Finding, Repair, Severity, first_places
from xseg.doctor.summary import DataSummary, FileSummary, MaskSummary, PairSummary, SplitSummary
from xseg.labels.label_map import LabelMap
from xseg.types import RGB, Split

INTERPOLATED = 0.1
"""Share of borders with a number between, from which a mask counts as interpolated. CamVid's real masks have at most
0.021, and at least 0.215 after halving them with linear interpolation."""
_NAMED = 3  # values listed per file
Masks: TypeAlias = Sequence[tuple[PairSummary, MaskSummary]]


def colors(summary: DataSummary) -> Iterator[Finding]:
    """Find masks with colours instead of class numbers."""
    for split, found in _numeric_splits(summary):
        masks = [(p, m) for p, m in _masks(found) if m.colors and not m.equal_channels and not _lossy(p)]
        if masks:
            known = set(summary.labels.colors)
            all_known = all(set(mask.colors) <= known and not mask.more_colors for _, mask in masks)
            remedy = "set layout.labels.encoding to color, or convert the colours to class numbers"
            repairs = tuple(Repair(_file(pair).path, "colors") for pair, _ in masks) if all_known else ()
            title = f"masks with colours instead of class numbers: {len(masks)}"
            places = first_places((_path(pair), _format_colors(mask)) for pair, mask in masks)
            yield Finding("color-masks", "error", split, title, remedy, len(masks), places, repairs)


def equal_channels(summary: DataSummary) -> Iterator[Finding]:
    """Find class numbers stored as grey RGB or with transparency."""
    for split, found in _numeric_splits(summary):
        masks = [(p, m) for p, m in _masks(found) if m.colors and m.equal_channels and not _lossy(p)]
        for check, transparent, what in (
            ("grey-rgb-masks", False, "masks with class numbers in three equal channels"),
            ("alpha-masks", True, "masks with an alpha channel"),
        ):
            some = [(pair, mask) for pair, mask in masks if mask.transparency == transparent]
            if some:
                title = f"{what}: {len(some)}"
                repairs = tuple(Repair(_file(pair).path, "one_channel") for pair, _ in some)
                places = first_places((_path(pair), f"mode {_file(pair).mode}") for pair, _ in some)
                yield Finding(check, "error", split, title, "write them with one channel", len(some), places, repairs)


def lossy(summary: DataSummary) -> Iterator[Finding]:
    """Find masks with lossy compression."""
    for split, found in _numeric_splits(summary):
        masks = [(pair, mask) for pair, mask in _masks(found) if _lossy(pair)]
        if masks:
            changed = any(mask.unknown_pixels or mask.colors for _, mask in masks)
            severity: Severity = "error" if changed else "warning"
            title = f"masks saved as JPEG or in another lossy format: {len(masks)}"
            remedy = "export them again as PNG, or read colours or black and white with layout.labels.tolerance"
            places = first_places((_path(pair), _format_values(mask)) for pair, mask in masks)
            yield Finding("lossy-masks", severity, split, title, remedy, len(masks), places)


def interpolated(summary: DataSummary) -> Iterator[Finding]:
    """Find masks whose edges hold numbers between those of both sides."""
    for split, found in _numeric_splits(summary):
        masks = [(pair, mask) for pair, mask in _masks(found) if _interpolated(pair, mask)]
        if masks:
            title = f"masks with antialiased edges, or resized with interpolation: {len(masks)}"
            remedy = "export them again, or resize the originals with nearest neighbour"
            places = first_places(
                (_path(pair), f"a number between at {100 * mask.between:.0f} % of the borders") for pair, mask in masks
            )
            yield Finding("interpolated-masks", "error", split, title, remedy, len(masks), places)


def values(summary: DataSummary) -> Iterator[Finding]:
    """Find numbers that belong to no class, with their probable cause."""
    for split, found in _numeric_splits(summary):
        masks = [(pair, mask) for pair, mask in _masks(found) if not _reported_elsewhere(pair, mask)]
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
    return Finding(
        "binary-0-255",
        "error",
        split,
        f"masks of the {split} split hold only the values 0 and 255, {meaning}",
        "if 255 is the second class, set layout.labels.encoding to binary, or set raw_ids to [0, 255]",
        len(shown),
        first_places((_path(pair), _format_values(mask)) for pair, mask in shown),
        tuple(Repair(_file(p).path, "renumber", table=table) for p, _ in masks if p.mask_file is not None),
    )


def deep(summary: DataSummary) -> Iterator[Finding]:
    """Find masks of 16 or 32 bits or floats whose numbers fit into 8 bits."""
    for split, found in _numeric_splits(summary):
        masks = [
            (pair, mask)
            for pair, mask in _masks(found)
            if _file(pair).mode.startswith(("I", "F")) and max(mask.numbers, default=0) <= 255
        ]
        if masks:
            title = f"masks of 16 bits or more whose numbers fit into 8: {len(masks)}"
            repairs = tuple(Repair(_file(pair).path, "shallow") for pair, _ in masks)
            places = first_places((_path(pair), f"mode {_file(pair).mode}") for pair, _ in masks)
            remedy = "write them with 8 bits: viewers show them black, and other programs may misread them"
            yield Finding("deep-masks", "warning", split, title, remedy, len(masks), places, repairs)


def palettes(summary: DataSummary) -> Iterator[Finding]:
    """Find palette images with different colours for the same number, which may stand for different classes."""
    for split, found in _numeric_splits(summary):
        painted: dict[int, dict[RGB, PairSummary]] = defaultdict(dict)
        for pair, mask in _masks(found):
            for number, color in mask.palette.items():
                painted[number].setdefault(color, pair)
        differing = {number: firsts for number, firsts in painted.items() if len(firsts) > 1}
        if differing:
            places = [
                (_path(pair), f"number {number} is {color}")
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
    wrong = [(pair, mask) for pair, mask in masks if mask.unknown_pixels]
    return Finding(
        "numbers-from-one",
        "error",
        split,
        f"the masks number the classes from 1 to {count}, but the {count} names stand for 0 to {count - 1}",
        f"set raw_ids to {list(range(1, count + 1))}, or subtract 1 from the numbers",
        len(wrong),
        first_places((_path(pair), _format_values(mask)) for pair, mask in wrong),
        tuple(Repair(_file(pair).path, "renumber", table=table) for pair, _ in masks),
    )


def _one_more_class(suspects: Masks, numbers: set[int], labels: LabelMap, split: Split) -> Finding | None:
    last = max(labels.raw_ids)
    unknown = set().union(*({entry.value for entry in mask.unknown} for _, mask in suspects))
    if unknown != set(range(last + 1, last + 1 + len(unknown))) or len(unknown) > 3 or 0 not in numbers:
        return None
    listed = ", ".join(map(str, sorted(unknown)))
    return Finding(
        "class-count",
        "error",
        split,
        f"{len(labels)} classes have names, but masks also hold the next number: {listed} in {len(suspects)}",
        f"add a class name; or if {listed} is void, add it to ignored_raw_ids",
        len(suspects),
        first_places((_path(pair), _format_values(mask)) for pair, mask in suspects),
    )


def _stretched(suspects: Masks, labels: LabelMap, split: Split) -> Finding | None:
    """Recognise numbers that were multiplied for display: 0, 85, 170, 255 for 0, 1, 2, 3."""
    numbers = set().union(*(mask.numbers for _, mask in suspects))
    factor = gcd(*numbers)
    whole = all(mask.unknown_values == len(mask.unknown) for _, mask in suspects)
    if not whole or factor < 2 or len(numbers - {0}) < 2 or not {n // factor for n in numbers} <= set(labels.raw_ids):
        return None
    table = tuple((raw * factor, raw) for raw in labels.raw_ids)
    return Finding(
        "stretched-values",
        "error",
        split,
        f"masks with class numbers multiplied by {factor}, as for display: {len(suspects)}",
        f"divide them by {factor}",
        len(suspects),
        first_places((_path(pair), _format_values(mask)) for pair, mask in suspects),
        tuple(Repair(_file(pair).path, "renumber", table=table) for pair, _ in suspects),
    )


def _unknown(suspects: Masks, masks: Masks, labels: LabelMap, split: Split) -> Finding:
    pixels: dict[int, int] = defaultdict(int)
    for _, mask in suspects:
        for entry in mask.unknown:
            pixels[entry.value] += entry.pixels
    return Finding(
        "unknown-values",
        "error",
        split,
        f"masks with values that belong to no class: {len(suspects)} of {len(masks)}",
        f"add them to the label map or to ignored_raw_ids; known values are {sorted(labels.train_ids())[:24]}",
        len(suspects),
        first_places((_path(pair), _format_unknown(mask)) for pair, mask in suspects),
        numbers={"pixels": {str(value): count for value, count in sorted(pixels.items())}},
    )


def _numeric_splits(summary: DataSummary) -> Iterator[tuple[Split, SplitSummary]]:
    """Yield the splits if mask files hold numbers; otherwise the reader has checked their content."""
    return iter(summary.splits.items() if summary.numeric_masks else ())


def _masks(found: SplitSummary) -> Iterator[tuple[PairSummary, MaskSummary]]:
    """Yield the masks except copies of the image, which another check reports."""
    return ((pair, mask) for pair, mask in found.masks() if not pair.same_file)


def _file(pair: PairSummary) -> FileSummary:
    if pair.mask_file is None:
        raise ValueError(f"{pair.name} has no mask file")
    return pair.mask_file


def _path(pair: PairSummary) -> str:
    return pair.name if pair.mask_file is None else str(pair.mask_file.path)


def _lossy(pair: PairSummary) -> bool:
    return pair.mask_file is not None and pair.mask_file.lossy


def _interpolated(pair: PairSummary, mask: MaskSummary) -> bool:
    return mask.between > INTERPOLATED and not _lossy(pair)


def _reported_elsewhere(pair: PairSummary, mask: MaskSummary) -> bool:
    return bool(mask.colors) or _lossy(pair) or _interpolated(pair, mask)


def _format_values(mask: MaskSummary) -> str:
    if mask.colors and not mask.equal_channels:
        return _format_colors(mask)
    numbers = sorted(mask.numbers)
    more = len(mask.values) + mask.unknown_values - 8
    return f"values {', '.join(map(str, numbers[:8]))}" + (f" and {more} more" if more > 0 else "")


def _format_colors(mask: MaskSummary) -> str:
    shown = ", ".join(str(color) for color in list(mask.colors)[:_NAMED])
    more = len(mask.colors) + mask.more_colors - _NAMED
    return f"colours {shown}" + (f" and {more} more" if more > 0 else "")


def _format_unknown(mask: MaskSummary) -> str:
    shown = "; ".join(
        f"value {entry.value} in {entry.pixels} pixels, the first at row {entry.row}, column {entry.column}"
        for entry in mask.unknown[:_NAMED]
    )
    more = mask.unknown_values - _NAMED
    return shown + (f"; and {more} more values" if more > 0 else "")
