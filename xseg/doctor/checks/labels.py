"""Checks of what the masks as a whole teach: classes, their balance, and what is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from xseg.doctor.checks.masks import binary
from xseg.doctor.finding import Finding, first_places
from xseg.doctor.summary import Facts, MaskFacts, PairFacts

RARE = 5e-4  # share of the labelled training pixels below which a class is seldom learned without help
IGNORED = 0.5  # share of ignored pixels from which a split is wasted for the most part


def two_values(facts: Facts) -> Iterator[Finding]:
    """Masks of 0 and 255 for two classes, told from the numbers alone."""
    for split, found in facts.splits.items() if facts.plain else ():
        finding = binary(list(found.masks()), facts.labels, split)
        if finding is not None:
            yield finding


def all_ignored(facts: Facts) -> Iterator[Finding]:
    """Masks, or whole splits, of which every pixel is ignored."""
    for split, found in facts.splits.items():
        masks = list(found.masks())
        empty = [(pair, mask) for pair, mask in masks if mask.values and not _labelled(mask, facts)]
        if not empty or binary(masks, facts.labels, split) is not None:
            continue
        whole = len(empty) == len(masks)
        numbers = sorted(set().union(*(mask.values for _, mask in empty)))
        title = f"masks of which every pixel is ignored: {len(empty)} of {len(masks)} (values {numbers})"
        yield Finding(
            "ignored-masks",
            "error" if whole else "warning",
            split,
            f"every pixel of the masks of the {split} split is ignored (values {numbers})" if whole else title,
            "check raw_ids and ignored_raw_ids" if whole else "remove these pairs: nothing is learned from them",
            len(empty),
            first_places((_path(pair), "") for pair, _ in empty),
        )


def ignore_share(facts: Facts) -> Iterator[Finding]:
    """Splits of which more pixels are ignored than not."""
    train_ids, ignore = facts.train_ids(), facts.labels.ignore_index
    for split, found in facts.splits.items():
        values = found.values()
        total, ignored = sum(values.values()), sum(n for v, n in values.items() if train_ids[v] == ignore)
        if total and IGNORED < ignored / total < 1 and binary(list(found.masks()), facts.labels, split) is None:
            share = ignored / total
            title = f"{100 * share:.0f} % of the pixels of the {split} split are ignored"
            remedy = "check that ignore_index and ignored_raw_ids are meant"
            yield Finding("ignored-pixels", "warning", split, title, remedy, numbers={"share": share})


def constant(facts: Facts) -> Iterator[Finding]:
    """Masks of a single class."""
    for split, found in facts.splits.items():
        masks = list(found.masks())
        flat = [(p, m) for p, m in masks if len(m.values) == 1 and not m.unknown and _labelled(m, facts)]
        if not flat:
            continue
        numbers = {number for _, mask in flat for number in mask.values}
        useless = len(flat) == len(masks) and len(numbers) == 1 and len(facts.labels) > 1
        yield Finding(
            "constant-masks",
            "error" if useless else "warning" if 2 * len(flat) > len(masks) else "note",
            split,
            f"masks of a single class: {len(flat)} of {len(masks)}",
            "nothing can be learned from these masks" if useless else "make sure that nothing was left unlabelled",
            len(flat),
            first_places((_path(pair), f"value {next(iter(mask.values))}") for pair, mask in flat),
        )


def absent(facts: Facts) -> Iterator[Finding]:
    """Classes that no mask holds: in the whole data set, in training, or in an evaluation."""
    labelled = {split: pixels for split in facts.splits if any(pixels := facts.class_pixels(split))}
    if not labelled or _wrongly_numbered(facts):
        return
    names = facts.labels.names
    nowhere = {name for index, name in enumerate(names) if not any(pixels[index] for pixels in labelled.values())}
    if nowhere and len(labelled) > 1:
        told = _list(names, nowhere)
        title = f"classes that occur in no mask: {told} ({len(nowhere)} of {len(names)})"
        remedy = "check the classes' order and numbers; a class that never occurs is never learned"
        yield Finding(
            "class-absent", "warning", None, title, remedy, len(nowhere), numbers={"classes": sorted(nowhere)}
        )
    for split, pixels in labelled.items():
        missing = {name for name, count in zip(names, pixels, strict=True) if not count}
        missing -= nowhere if len(labelled) > 1 else set()
        if missing:
            told = _list(names, missing)
            yield Finding(
                "class-absent-in-split",
                "warning" if split == "train" else "note",
                split,
                f"classes that do not occur in the {split} split: {told}",
                "split the data anew"
                if split == "train"
                else "its score will be empty; a fairer split has all classes",
                len(missing),
                numbers={"classes": sorted(missing)},
            )


def imbalance(facts: Facts) -> Iterator[Finding]:
    """Classes with so few training pixels that the loss hardly notices them."""
    pixels = facts.class_pixels("train")
    total = sum(pixels)
    rare = [index for index, count in enumerate(pixels) if 0 < count < RARE * total]
    if rare:
        met = median([count for count in pixels if count])
        weights = {n: round((met / c) ** 0.5, 2) for n, c in zip(facts.labels.names, pixels, strict=True) if c}
        told = ", ".join(f"{facts.labels.names[index]} {100 * pixels[index] / total:.2g} %" for index in rare)
        yield Finding(
            "imbalance",
            "warning",
            "train",
            f"classes with next to no training pixels: {told}",
            "set model.loss.class_weights to inverse_sqrt (weights below), data.sampling to class_aware, or add a Dice "
            "loss",
            len(rare),
            numbers={"weights": weights, "share": {facts.labels.names[i]: pixels[i] / total for i in rare}},
        )


def _wrongly_numbered(facts: Facts) -> bool:
    """Tell whether the masks' numbers are to be put right before classes can be counted."""
    masks = [(pair, mask) for found in facts.splits.values() for pair, mask in found.masks()]
    unknown = sum(mask.unknown_pixels > 0 for _, mask in masks)
    return 2 * unknown > len(masks) or (facts.plain and binary(masks, facts.labels, "train") is not None)


def _labelled(mask: MaskFacts, facts: Facts) -> bool:
    train_ids = facts.train_ids()
    return bool(mask.unknown) or any(train_ids[number] != facts.labels.ignore_index for number in mask.values)


def _path(pair: PairFacts) -> str:
    return pair.name if pair.mask_file is None else str(pair.mask_file.path)


def _list(names: tuple[str, ...], some: set[str]) -> str:
    shown = [name for name in names if name in some]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
