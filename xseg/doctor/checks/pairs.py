"""Checks of an image against its mask, and of images and masks against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from xseg.doctor.checks.files import leave_out
from xseg.doctor.finding import Finding, Repair, first_places
from xseg.doctor.summary import Facts, ImageFacts, PairFacts
from xseg.doctor.thumbnail import SAME, CopyIndex, distance
from xseg.types import Split

_SHAPED = 250  # bytes of shape from which masks are not equal by chance; a few rectangles or circles have 100
_SAME_SHAPE = 0.01  # relative difference of aspect ratios that rounding makes


def sizes(facts: Facts) -> Iterator[Finding]:
    """Masks of another size than their image; those that EXIF explains are told apart."""
    for split, found in facts.splits.items():
        differing = [pair for pair in found.pairs if pair.image and pair.mask and pair.image.size != pair.mask.size]
        turned = [pair for pair in differing if _turned(pair)]
        if turned:
            yield Finding(
                "exif-disagreement",
                "error",
                split,
                f"images that EXIF turns, and whose masks are not turned: {len(turned)}",
                "turn the masks as a viewer shows the images",
                len(turned),
                first_places((_path(pair), _told_sizes(pair)) for pair in turned),
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
                "make them anew, or resize them with nearest neighbours"
                if alike
                else "find the masks that belong here",
                len(others),
                first_places((_path(pair), _told_sizes(pair)) for pair in others),
                tuple(_resize(pair) for pair in others) if alike else (),
            )


def image_is_mask(facts: Facts) -> Iterator[Finding]:
    """Pairs of which both files are the same."""
    for split, found in facts.splits.items():
        same = [pair for pair in found.pairs if pair.same_file]
        if same:
            title = f"masks that are the image itself: {len(same)}"
            remedy = "put the right masks there; or correct the patterns of images and masks"
            places = first_places((_path(pair), "") for pair in same)
            yield Finding("image-is-mask", "error", split, title, remedy, len(same), places)


def mask_copies(facts: Facts) -> Iterator[Finding]:
    """Masks that are the same for different images: an error of copying. Masks of next to no shape may well be."""
    groups: dict[bytes, list[tuple[Split, PairFacts]]] = defaultdict(list)
    for split, found in facts.splits.items():
        for pair, mask in found.masks():
            if mask.shape >= _SHAPED and not mask.colors:
                groups[mask.digest].append((split, pair))
    copies = [group for group in groups.values() if _images_differ(group)]
    if copies:
        yield Finding(
            "mask-copies",
            "warning",
            None,
            f"masks that are the same for different images: {len(copies)}",
            "find the masks that belong to these images",
            len(copies),
            first_places((_mask_path(group[0][1]), f"and {_mask_path(group[1][1])}") for group in copies),
        )


def image_copies(facts: Facts) -> Iterator[Finding]:
    """Images that occur twice: within a split a waste, between splits a score that cannot be trusted."""
    equal, shared = _equal(facts)
    if shared:
        yield Finding(
            "shared-split",
            "note",
            None,
            f"images that serve as val and as test: {len(shared)}",
            "nothing to do if that is meant; scores on test then flatter a model that val chose",
            len(shared),
            first_places((_path(pair), "") for pair in shared),
        )
    for groups, certain in ((equal, True), (_alike(facts), False)):
        within = [group for group in groups if len({split for split, _ in group}) == 1]
        between = [group for group in groups if len({split for split, _ in group}) > 1]
        trained = any(split == "train" for group in between for split, _ in group)
        what = "the same" if certain else "alike to the eye (another size, compression or brightness)"
        if between:
            yield Finding(
                "leak" if certain else "near-leak",
                "error" if certain and trained else "warning",
                None,
                f"images of one split that are in another too, {what}: {len(between)}",
                "keep each in one split: scores on what was trained on say nothing",
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


Group = list[tuple[Split, PairFacts]]


def _equal(facts: Facts) -> tuple[list[Group], list[PairFacts]]:
    """Return the groups of images with the same pixels, and the images that val and test share on purpose.

    Images of a single value are no copies. A data set without test labels is often tested on its validation part.
    """
    groups: dict[bytes, Group] = defaultdict(list)
    validated = {pair.name: pair for pair, _ in _images(facts, "val")}
    shared = [pair for pair, _ in _images(facts, "test") if _same_path(pair, validated.get(pair.name))]
    again = {id(pair) for pair in shared}
    for split, found in facts.splits.items():
        for pair, image in found.images():
            if image.thumbnail and id(pair) not in again:
                groups[image.digest].append((split, pair))
    return [group for group in groups.values() if len(group) > 1], shared


def _images(facts: Facts, split: Split) -> Iterator[tuple[PairFacts, ImageFacts]]:
    return facts.splits[split].images() if split in facts.splits else iter(())


def _same_path(pair: PairFacts, other: PairFacts | None) -> bool:
    if other is None or pair.image_file is None or other.image_file is None:
        return False
    return pair.image_file.path == other.image_file.path


def _alike(facts: Facts) -> list[Group]:
    """Return the groups of images that look the same without having the same pixels."""
    index = CopyIndex()
    added: Group = []
    groups: dict[int, Group] = {}
    seen: set[bytes] = set()
    for split, found in facts.splits.items():
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
    """Tell whether a group of pairs has images that are no copies of each other."""
    first, *others = [pair.image.thumbnail for _, pair in group if pair.image and pair.image.thumbnail] or [b""]
    return any(distance(first, other) > SAME for other in others)


def _kept_once(group: Group) -> Iterator[Repair]:
    """Leave out of the training split what an evaluation split has, and of val what test has."""
    order: tuple[Split, ...] = ("test", "val", "train")
    kept = next(split for split in order if any(split == member for member, _ in group))
    first = True
    for split, pair in group:
        if split != kept or not first:
            yield from leave_out(pair)
        first = first and split != kept


def _turned(pair: PairFacts) -> bool:
    file, mask = pair.image_file, pair.mask
    return file is not None and mask is not None and file.orientation >= 5 and file.stored == mask.size


def _turn(pair: PairFacts) -> Repair:
    if pair.image_file is None or pair.mask_file is None:
        raise ValueError(f"{pair.name} has no files")
    return Repair(pair.mask_file.path, "turn", number=pair.image_file.orientation)


def _same_shape(pair: PairFacts) -> bool:
    if pair.image is None or pair.mask is None or pair.mask_file is None:
        return False
    (height, width), (rows, columns) = pair.image.size, pair.mask.size
    return abs(height * columns / (width * rows) - 1) < _SAME_SHAPE


def _resize(pair: PairFacts) -> Repair:
    if pair.image is None or pair.mask_file is None:
        raise ValueError(f"{pair.name} has no files")
    return Repair(pair.mask_file.path, "resize", size=pair.image.size)


def _told_sizes(pair: PairFacts) -> str:
    image, mask = (facts.size if facts else (0, 0) for facts in (pair.image, pair.mask))
    return f"image {image[0]}x{image[1]}, mask {mask[0]}x{mask[1]}"


def _also(group: Group) -> str:
    split, pair = group[1]
    return f"also {_path(pair)} ({split})" + (f" and {len(group) - 2} more" if len(group) > 2 else "")


def _path(pair: PairFacts) -> str:
    return pair.name if pair.image_file is None else str(pair.image_file.path)


def _mask_path(pair: PairFacts) -> str:
    return pair.name if pair.mask_file is None else str(pair.mask_file.path)
