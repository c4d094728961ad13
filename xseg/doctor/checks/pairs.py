"""Checks of images against their masks, and of images and masks against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from xseg.doctor.checks.files import leave_out
from xseg.doctor.finding import Finding, Repair, first_places
from xseg.doctor.summary import DataSummary, ImageSummary, PairSummary
from xseg.doctor.thumbnail import SAME, CopyIndex, distance
from xseg.types import Split

_SHAPED = 250  # bytes of shape from which masks are not equal by chance; a few rectangles or circles need 100
_SAME_SHAPE = 0.01  # relative difference of aspect ratios due to rounding


def sizes(summary: DataSummary) -> Iterator[Finding]:
    """Find masks of another size than their image; those due to EXIF are reported separately."""
    for split, found in summary.splits.items():
        differing = [pair for pair in found.pairs if pair.image and pair.mask and pair.image.size != pair.mask.size]
        turned = [pair for pair in differing if _turned(pair)]
        if turned:
            yield Finding(
                "exif-disagreement",
                "error",
                split,
                f"images that EXIF rotates, but not their masks: {len(turned)}",
                "rotate the masks to match the images in a viewer",
                len(turned),
                first_places((_path(pair), _format_sizes(pair)) for pair in turned),
                tuple(_turn(pair) for pair in turned),
            )
        others = [pair for pair in differing if not _turned(pair)]
        if others:
            alike = all(_same_shape(pair) for pair in others)
            yield Finding(
                "size-mismatch",
                "error",
                split,
                f"masks of another size than their image: {len(others)}",
                "make them again, or resize them with nearest neighbour" if alike else "find the right masks",
                len(others),
                first_places((_path(pair), _format_sizes(pair)) for pair in others),
                tuple(_resize(pair) for pair in others) if alike else (),
            )


def image_is_mask(summary: DataSummary) -> Iterator[Finding]:
    """Find pairs with the same file as image and mask."""
    for split, found in summary.splits.items():
        same = [pair for pair in found.pairs if pair.same_file]
        if same:
            title = f"masks that are copies of their image: {len(same)}"
            remedy = "add the right masks, or correct the patterns of images and masks"
            places = first_places((_path(pair), "") for pair in same)
            yield Finding("image-is-mask", "error", split, title, remedy, len(same), places)


def mask_copies(summary: DataSummary) -> Iterator[Finding]:
    """Find equal masks of different images, except masks with almost no shape, which may be equal by chance."""
    groups: dict[bytes, list[tuple[Split, PairSummary]]] = defaultdict(list)
    for split, found in summary.splits.items():
        for pair, mask in found.masks():
            if mask.shape >= _SHAPED and not mask.colors:
                groups[mask.digest].append((split, pair))
    copies = [group for group in groups.values() if _images_differ(group)]
    if copies:
        yield Finding(
            "mask-copies",
            "warning",
            None,
            f"equal masks of different images: {len(copies)}",
            "find the right masks of these images",
            len(copies),
            first_places((_mask_path(group[0][1]), f"and {_mask_path(group[1][1])}") for group in copies),
        )


def image_copies(summary: DataSummary) -> Iterator[Finding]:
    """Find repeated images: within a split they are wasted, between splits they make scores unreliable."""
    equal, shared = _equal(summary)
    if shared:
        yield Finding(
            "shared-split",
            "note",
            None,
            f"images in both val and test: {len(shared)}",
            "nothing to do if this is intended; test scores are then too high for a model chosen on val",
            len(shared),
            first_places((_path(pair), "") for pair in shared),
        )
    for groups, certain in ((equal, True), (_alike(summary), False)):
        within = [group for group in groups if len({split for split, _ in group}) == 1]
        between = [group for group in groups if len({split for split, _ in group}) > 1]
        trained = any(split == "train" for group in between for split, _ in group)
        what = "identical" if certain else "visually the same (another size, compression or brightness)"
        if between:
            yield Finding(
                "leak" if certain else "near-leak",
                "error" if certain and trained else "warning",
                None,
                f"images that are also in another split, {what}: {len(between)}",
                "keep each in one split: scores on training images mean nothing",
                len(between),
                first_places((_path(group[0][1]), _also(group)) for group in between),
                tuple(repair for group in between for repair in _kept_once(group)) if certain else (),
            )
        if within:
            yield Finding(
                "duplicates" if certain else "near-duplicates",
                "warning" if certain else "note",
                None,
                f"images that occur several times within a split, {what}: {len(within)}",
                "keep one of each",
                len(within),
                first_places((_path(group[0][1]), _also(group)) for group in within),
                tuple(repair for group in within for _, pair in group[1:] for repair in leave_out(pair))
                if certain
                else (),
            )


Group = list[tuple[Split, PairSummary]]


def _equal(summary: DataSummary) -> tuple[list[Group], list[PairSummary]]:
    """Return the groups of images with the same pixels, and the images that val and test share on purpose.

    Images of a single value do not count as copies. Data sets without test labels are often tested on validation data.
    """
    groups: dict[bytes, Group] = defaultdict(list)
    validated = {pair.name: pair for pair, _ in _images(summary, "val")}
    shared = [pair for pair, _ in _images(summary, "test") if _same_path(pair, validated.get(pair.name))]
    again = {id(pair) for pair in shared}
    for split, found in summary.splits.items():
        for pair, image in found.images():
            if image.thumbnail and id(pair) not in again:
                groups[image.digest].append((split, pair))
    return [group for group in groups.values() if len(group) > 1], shared


def _images(summary: DataSummary, split: Split) -> Iterator[tuple[PairSummary, ImageSummary]]:
    return summary.splits[split].images() if split in summary.splits else iter(())


def _same_path(pair: PairSummary, other: PairSummary | None) -> bool:
    if other is None or pair.image_file is None or other.image_file is None:
        return False
    return pair.image_file.path == other.image_file.path


def _alike(summary: DataSummary) -> list[Group]:
    """Return the groups of images that look the same but have different pixels."""
    index = CopyIndex()
    added: Group = []
    groups: dict[int, Group] = {}
    seen: set[bytes] = set()
    for split, found in summary.splits.items():
        for pair, image in found.images():
            if not image.thumbnail or image.digest in seen:
                continue
            seen.add(image.digest)
            originals = index.add(image.thumbnail)
            added.append((split, pair))
            if originals:
                groups.setdefault(originals[0], [added[originals[0]]]).append((split, pair))
    return list(groups.values())


def _images_differ(group: Group) -> bool:
    """Return whether a group of pairs has images that are not copies of each other."""
    first, *others = [pair.image.thumbnail for _, pair in group if pair.image and pair.image.thumbnail] or [b""]
    return any(distance(first, other) > SAME for other in others)


def _kept_once(group: Group) -> Iterator[Repair]:
    """Yield repairs that leave images of an evaluation split out of train, and images of test out of val."""
    order: tuple[Split, ...] = ("test", "val", "train")
    kept = next(split for split in order if any(split == member for member, _ in group))
    first = True
    for split, pair in group:
        if split != kept or not first:
            yield from leave_out(pair)
        first = first and split != kept


def _turned(pair: PairSummary) -> bool:
    file, mask = pair.image_file, pair.mask
    return file is not None and mask is not None and file.orientation >= 5 and file.stored == mask.size


def _turn(pair: PairSummary) -> Repair:
    if pair.image_file is None or pair.mask_file is None:
        raise ValueError(f"{pair.name} has no files")
    return Repair(pair.mask_file.path, "turn", number=pair.image_file.orientation)


def _same_shape(pair: PairSummary) -> bool:
    if pair.image is None or pair.mask is None or pair.mask_file is None:
        return False
    (height, width), (rows, columns) = pair.image.size, pair.mask.size
    return abs(height * columns / (width * rows) - 1) < _SAME_SHAPE


def _resize(pair: PairSummary) -> Repair:
    if pair.image is None or pair.mask_file is None:
        raise ValueError(f"{pair.name} has no files")
    return Repair(pair.mask_file.path, "resize", size=pair.image.size)


def _format_sizes(pair: PairSummary) -> str:
    image, mask = (summary.size if summary else (0, 0) for summary in (pair.image, pair.mask))
    return f"image {image[0]}x{image[1]}, mask {mask[0]}x{mask[1]}"


def _also(group: Group) -> str:
    split, pair = group[1]
    return f"also {_path(pair)} ({split})" + (f" and {len(group) - 2} more" if len(group) > 2 else "")


def _path(pair: PairSummary) -> str:
    return pair.name if pair.image_file is None else str(pair.image_file.path)


def _mask_path(pair: PairSummary) -> str:
    return pair.name if pair.mask_file is None else str(pair.mask_file.path)
