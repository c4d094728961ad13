"""Checks of images against their masks, and of images and masks against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from xseg.doctor.checks.files import leave_out
from xseg.doctor.finding import Finding, Repair, Severity, report
from xseg.doctor.summary import DataSummary, PairSummary, SplitSummary
from xseg.doctor.thumbnail import SAME, CopyIndex, distance
from xseg.types import Split

_SHAPED = 250  # bytes of shape from which masks are not equal by chance; a few rectangles or circles need 100
_SAME_SHAPE = 0.01  # relative difference of aspect ratios due to rounding
Group = list[tuple[Split, PairSummary]]


def sizes(summary: DataSummary) -> Iterator[Finding]:
    """Find masks of another size than their image; those due to EXIF are reported separately."""
    for split, found in summary.splits.items():
        differing = [pair for pair in found.pairs if pair.image and pair.mask and pair.image.size != pair.mask.size]
        turned = [pair for pair in differing if _turned(pair)]
        files = ((pair.image_file, pair.mask_file) for pair in turned)
        repairs = (Repair(mask.path, "turn", number=image.orientation) for image, mask in files if image and mask)
        title = "images that EXIF rotates, but not their masks"
        remedy = "rotate the masks to match the images in a viewer"
        yield from report("exif-disagreement", "error", split, title, remedy, map(_sizes, turned), repairs)
        others = [pair for pair in differing if not _turned(pair)]
        alike = all(_same_shape(pair) for pair in others)
        wanted = ((pair.mask_file, pair.image) for pair in others if alike)
        repairs = (Repair(mask.path, "resize", size=image.size) for mask, image in wanted if mask and image)
        title = "masks of another size than their image"
        remedy = "make them again, or resize them with nearest neighbour" if alike else "find the right masks"
        yield from report("size-mismatch", "error", split, title, remedy, map(_sizes, others), repairs)


def image_is_mask(summary: DataSummary) -> Iterator[Finding]:
    """Find pairs with the same file as image and mask."""
    for split, found in summary.splits.items():
        title = "masks that are copies of their image"
        remedy = "add the right masks, or correct the patterns of images and masks"
        places = ((pair.image_path, "") for pair in found.pairs if pair.same_file)
        yield from report("image-is-mask", "error", split, title, remedy, places)


def mask_copies(summary: DataSummary) -> Iterator[Finding]:
    """Find equal masks of different images, except masks with almost no shape, which may be equal by chance."""
    groups: dict[bytes, Group] = defaultdict(list)
    for split, found in summary.splits.items():
        for pair, mask in found.masks():
            if mask.shape >= _SHAPED and not mask.colors:
                groups[mask.digest].append((split, pair))
    copies = (group for group in groups.values() if _images_differ(group))
    places = ((group[0][1].mask_path, f"and {group[1][1].mask_path}") for group in copies)
    title, remedy = "equal masks of different images", "find the right masks of these images"
    yield from report("mask-copies", "warning", None, title, remedy, places)


def image_copies(summary: DataSummary) -> Iterator[Finding]:
    """Find repeated images: within a split they are wasted, between splits they make scores unreliable."""
    equal, shared = _equal(summary)
    places = ((pair.image_path, "") for pair in shared)
    title = "images in both val and test"
    remedy = "nothing to do if this is intended; test scores are then too high for a model chosen on val"
    yield from report("shared-split", "note", None, title, remedy, places)
    yield from _copies(equal, "identical", certain=True)
    yield from _copies(_alike(summary), "visually the same (another size, compression or brightness)", certain=False)


def _copies(groups: list[Group], what: str, *, certain: bool) -> Iterator[Finding]:
    """Yield the findings about groups of copies, which can be left out if they are certain."""
    within = [group for group in groups if len({split for split, _ in group}) == 1]
    between = [group for group in groups if len({split for split, _ in group}) > 1]
    trained = any(split == "train" for group in between for split, _ in group)
    severity: Severity = "error" if certain and trained else "warning"
    title = f"images that are also in another split, {what}"
    remedy = "keep each in one split: scores on training images mean nothing"
    repairs = (repair for group in between if certain for repair in _kept_once(group))
    check = "leak" if certain else "near-leak"
    yield from report(check, severity, None, title, remedy, map(_place, between), repairs)
    severity = "warning" if certain else "note"
    title = f"images that occur several times within a split, {what}"
    repairs = (repair for group in within if certain for repair in leave_out(*(pair for _, pair in group[1:])))
    check = "duplicates" if certain else "near-duplicates"
    yield from report(check, severity, None, title, "keep one of each", map(_place, within), repairs)


def _equal(summary: DataSummary) -> tuple[list[Group], list[PairSummary]]:
    """Return the groups of images with the same pixels, and the images that val and test share on purpose.

    Images of a single value do not count as copies. Data sets without test labels are often tested on validation data.
    """
    groups: dict[bytes, Group] = defaultdict(list)
    val, test = summary.splits.get("val", SplitSummary()), summary.splits.get("test", SplitSummary())
    validated = {(pair.name, pair.image_file.path) for pair, _ in val.images() if pair.image_file}
    shared = [p for p, _ in test.images() if p.image_file and (p.name, p.image_file.path) in validated]
    again = {id(pair) for pair in shared}
    for split, found in summary.splits.items():
        for pair, image in found.images():
            if image.thumbnail and id(pair) not in again:
                groups[image.digest].append((split, pair))
    return [group for group in groups.values() if len(group) > 1], shared


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


def _kept_once(group: Group) -> tuple[Repair, ...]:
    """Return repairs that leave images of an evaluation split out of train, and images of test out of val."""
    order: tuple[Split, ...] = ("test", "val", "train")
    _, kept = min(group, key=lambda member: order.index(member[0]))
    return leave_out(*(pair for _, pair in group if pair is not kept))


def _turned(pair: PairSummary) -> bool:
    file, mask = pair.image_file, pair.mask
    return file is not None and mask is not None and file.orientation >= 5 and file.stored == mask.size


def _same_shape(pair: PairSummary) -> bool:
    if pair.image is None or pair.mask is None or pair.mask_file is None:
        return False
    (height, width), (rows, columns) = pair.image.size, pair.mask.size
    return abs(height * columns / (width * rows) - 1) < _SAME_SHAPE


def _sizes(pair: PairSummary) -> tuple[str, str]:
    """Return the place of a pair, with the sizes of image and mask."""
    image, mask = (summary.size if summary else (0, 0) for summary in (pair.image, pair.mask))
    return pair.image_path, f"image {image[0]}x{image[1]}, mask {mask[0]}x{mask[1]}"


def _place(group: Group) -> tuple[str, str]:
    """Return the place of a group's first image, with the others."""
    split, pair = group[1]
    more = f" and {len(group) - 2} more" if len(group) > 2 else ""
    return group[0][1].image_path, f"also {pair.image_path} ({split}){more}"
