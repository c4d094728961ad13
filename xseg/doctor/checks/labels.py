"""Checks of all masks together: classes, class balance and ignored pixels."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from xseg.doctor.checks.masks import binary
from xseg.doctor.finding import Finding, Severity, first_places, listed, report
from xseg.doctor.summary import DataSummary, MaskSummary

RARE = 5e-4  # share of labelled training pixels below which a class is rarely learned without class weights
IGNORED = 0.5  # share of ignored pixels from which most of a split is wasted


def two_values(summary: DataSummary) -> Iterator[Finding]:
    """Find masks of 0 and 255 for two classes, judged by the numbers only."""
    for split, found in summary.splits.items() if summary.numeric_masks else ():
        finding = binary(list(found.masks()), summary.labels, split)
        if finding is not None:
            yield finding


def all_ignored(summary: DataSummary) -> Iterator[Finding]:
    """Find masks or whole splits with only ignored pixels."""
    for split, found in summary.splits.items():
        masks = list(found.masks())
        empty = [(pair, mask) for pair, mask in masks if mask.values and not _labelled(mask, summary)]
        if not empty or binary(masks, summary.labels, split) is not None:
            continue
        whole = len(empty) == len(masks)
        if summary.labels.overlapping and not whole:
            continue  # images without any class
        numbers = sorted(set().union(*(mask.values for _, mask in empty)))
        severity: Severity = "error" if whole else "warning"
        title = f"masks with only ignored pixels: {len(empty)} of {len(masks)} (values {numbers})"
        remedy = "remove these pairs: a network learns nothing from them"
        if whole:
            title = f"all mask pixels of the {split} split are ignored (values {numbers})"
            remedy = "check raw_ids and ignored_raw_ids"
            if summary.labels.overlapping:
                remedy = "if this value marks a class, set layout.labels.ignore_index to another one"
        places = first_places((pair.mask_path, "") for pair, _ in empty)
        yield Finding("ignored-masks", severity, split, title, remedy, len(empty), places)


def ignore_share(summary: DataSummary) -> Iterator[Finding]:
    """Find splits in which more than half of the pixels are ignored."""
    train_ids, ignore = summary.train_ids(), summary.labels.ignore_index
    for split, found in summary.splits.items() if not summary.labels.overlapping else ():
        values = found.values()
        total, ignored = sum(values.values()), sum(n for v, n in values.items() if train_ids[v] == ignore)
        if total and IGNORED < ignored / total < 1 and binary(list(found.masks()), summary.labels, split) is None:
            share = ignored / total
            title = f"{100 * share:.0f} % of the pixels of the {split} split are ignored"
            remedy = "check ignore_index and ignored_raw_ids"
            yield Finding("ignored-pixels", "warning", split, title, remedy, numbers={"share": share})


def constant(summary: DataSummary) -> Iterator[Finding]:
    """Find masks with a single class."""
    for split, found in summary.splits.items() if not summary.labels.overlapping else ():
        masks = list(found.masks())
        flat = [(p, m) for p, m in masks if len(m.values) == 1 and not m.unknown and _labelled(m, summary)]
        numbers = {number for _, mask in flat for number in mask.values}
        useless = len(flat) == len(masks) and len(numbers) == 1 and len(summary.labels) > 1
        severity: Severity = "error" if useless else "warning" if 2 * len(flat) > len(masks) else "note"
        remedy = "a network learns nothing from these masks" if useless else "check that the labels are complete"
        places = ((pair.mask_path, f"value {next(iter(mask.values))}") for pair, mask in flat)
        title = "masks with a single class"
        yield from report("constant-masks", severity, split, title, remedy, places, total=len(masks))


def absent(summary: DataSummary) -> Iterator[Finding]:
    """Find classes missing from all masks, from the training masks, or from an evaluation split."""
    labelled = {split: pixels for split in summary.splits if any(pixels := summary.class_pixels(split))}
    if not labelled or _wrongly_numbered(summary):
        return
    names = summary.labels.names
    nowhere = {name for index, name in enumerate(names) if not any(pixels[index] for pixels in labelled.values())}
    if nowhere and len(labelled) > 1:
        title = f"classes without pixels in any mask: {_list(names, nowhere)} ({len(nowhere)} of {len(names)})"
        remedy = "check order and numbers of the classes; a network cannot learn a class without pixels"
        figures = {"classes": sorted(nowhere)}
        yield Finding("class-absent", "warning", None, title, remedy, len(nowhere), numbers=figures)
    for split, pixels in labelled.items():
        missing = {name for name, count in zip(names, pixels, strict=True) if not count}
        missing -= nowhere if len(labelled) > 1 else set()
        if missing:
            trained = split == "train"
            severity: Severity = "warning" if trained else "note"
            title = f"classes without pixels in the {split} split: {_list(names, missing)}"
            evaluated = "their scores will be empty; use a split with all classes"
            remedy = "split the data again" if trained else evaluated
            figures = {"classes": sorted(missing)}
            yield Finding("class-absent-in-split", severity, split, title, remedy, len(missing), numbers=figures)


def imbalance(summary: DataSummary) -> Iterator[Finding]:
    """Find classes with too few training pixels to affect the loss."""
    pixels = summary.class_pixels("train")
    total = sum(pixels)
    rare = [index for index, count in enumerate(pixels) if 0 < count < RARE * total]
    if rare:
        met = median([count for count in pixels if count])
        weights = {n: round((met / c) ** 0.5, 2) for n, c in zip(summary.labels.names, pixels, strict=True) if c}
        shares = ", ".join(f"{summary.labels.names[index]} {100 * pixels[index] / total:.2g} %" for index in rare)
        title = f"classes with very few training pixels: {shares}"
        weighted = "set model.loss.class_weights to inverse_sqrt (weights below)"
        remedy = f"{weighted}, data.sampling to class_aware, or add a Dice loss"
        numbers = {"weights": weights, "share": {summary.labels.names[i]: pixels[i] / total for i in rare}}
        yield Finding("imbalance", "warning", "train", title, remedy, len(rare), numbers=numbers)


def _wrongly_numbered(summary: DataSummary) -> bool:
    """Return whether the numbers in the masks must be corrected before classes can be counted."""
    masks = [(pair, mask) for found in summary.splits.values() for pair, mask in found.masks()]
    unknown = sum(mask.unknown_pixels > 0 for _, mask in masks)
    return 2 * unknown > len(masks) or (summary.numeric_masks and binary(masks, summary.labels, "train") is not None)


def _labelled(mask: MaskSummary, summary: DataSummary) -> bool:
    train_ids = summary.train_ids()
    return bool(mask.unknown) or any(train_ids[number] != summary.labels.ignore_index for number in mask.values)


def _list(names: tuple[str, ...], some: set[str]) -> str:
    return listed([name for name in names if name in some], 8)
