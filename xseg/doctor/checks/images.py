"""Checks of images as input of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xseg.doctor.finding import Finding, first_places, report
from xseg.doctor.summary import DataSummary, PairSummary

_COLORS = ("RGB", "RGBA", "CMYK", "YCbCr", "P")
_GREYS = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def kinds(summary: DataSummary) -> Iterator[Finding]:
    """Find images of different bit depths, which one normalisation does not fit."""
    found = [(pair, image.kind) for split in summary.splits.values() for pair, image in split.images()]
    counts = Counter(kind for _, kind in found)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        places = [(pair.image_path, kind) for pair, kind in found if kind != usual]
        listed = " and ".join(f"{count} {kind}" for kind, count in counts.most_common())
        title = f"images of different bit depths: {listed}"
        remedy, shown = f"convert all to one depth; most are {usual}", first_places(places)
        yield Finding("mixed-bit-depths", "error", None, title, remedy, len(places), shown, numbers=dict(counts))


def shallow(summary: DataSummary) -> Iterator[Finding]:
    """Find 16-bit files whose values fit into 8 bits, which would be almost black."""
    for split, found in summary.splits.items():
        deep = [(pair, image) for pair, image in found.images() if image.kind == "uint16"]
        top = max((image.high for _, image in deep), default=0)
        if top <= 255:
            title = f"16-bit images without a value above {top:.0f}"
            remedy = "write them with 8 bits: divided by 65535 they would be almost black"
            places = ((pair.image_path, f"values {image.low:.0f} to {image.high:.0f}") for pair, image in deep)
            yield from report("shallow-images", "warning", split, title, remedy, places)


def not_finite(summary: DataSummary) -> Iterator[Finding]:
    """Find float images with infinite or NaN values, which make the loss NaN."""
    for split, found in summary.splits.items():
        places = ((pair.image_path, "") for pair, image in found.images() if not image.finite)
        title = "images with infinite or NaN values"
        remedy = "replace these values, and set their pixels to ignored in the mask"
        yield from report("not-finite", "error", split, title, remedy, places)


def constant(summary: DataSummary) -> Iterator[Finding]:
    """Find images with a single value."""
    for split, found in summary.splits.items():
        flat = ((pair, image) for pair, image in found.images() if image.finite and image.low == image.high)
        places = ((pair.image_path, f"value {image.low:g}") for pair, image in flat)
        title = "images with a single value in every pixel"
        remedy = "remove them with their masks; the export probably failed"
        yield from report("constant-images", "warning", split, title, remedy, places)


def channels(summary: DataSummary) -> Iterator[Finding]:
    """Find grey files among colour files."""
    for split, found in summary.splits.items():
        files = [pair.image_file for pair in found.pairs if pair.image_file is not None and pair.image is not None]
        grey = [file for file in files if file.mode in _GREYS]
        color = [file for file in files if file.mode in _COLORS]
        if grey and color:
            rare = min(grey, color, key=len)
            title = f"grey images among colour images: {len(grey)} and {len(color)}"
            remedy = f"all are read with {summary.channels} channels; convert them if this is not intended"
            places = first_places((file.path, file.mode) for file in rare)
            yield Finding("mixed-channels", "warning", split, title, remedy, len(rare), places)


def small(summary: DataSummary) -> Iterator[Finding]:
    """Find training images smaller than the crop, whose crops contain padding."""
    if "train" not in summary.splits:
        return
    images = list(summary.splits["train"].images())
    height, width = summary.crop
    tiny = [(pair, image.size) for pair, image in images if image.size[0] < height or image.size[1] < width]
    if tiny:
        title = f"images smaller than the crop of {height}x{width}"
        remedy = "set crop to at most the size of the images"
        places = ((pair.image_path, f"{size[0]}x{size[1]}") for pair, size in tiny)
        numbers = {"smallest": list(min(size for _, size in tiny))}
        yield from report(
            "smaller-than-crop", "warning", "train", title, remedy, places, total=len(images), numbers=numbers
        )


def mixed_sizes(summary: DataSummary) -> Iterator[Finding]:
    """Find validation or test images of several sizes, which are evaluated one by one."""
    for split, found in summary.splits.items():
        sizes = Counter(image.size for _, image in found.images())
        if len(sizes) > 1 and split != "train":
            listed = ", ".join(f"{height}x{width}" for (height, width), _ in sizes.most_common(3))
            title = f"images of {len(sizes)} sizes ({listed}{', ...' if len(sizes) > 3 else ''})"
            remedy = "nothing to do: they are evaluated one by one, which is slower than in batches"
            yield Finding("mixed-sizes", "note", split, title, remedy, len(sizes))


def orientations(summary: DataSummary) -> Iterator[Finding]:
    """Find images that EXIF rotates or mirrors without changing their shape, so that the mask may not match."""
    title = "images that EXIF rotates or mirrors, with masks whose size does not show whether they match"
    remedy = "check them with `xseg data preview`; write the images without EXIF orientation"
    for split, found in summary.splits.items():
        turned = (pair.image_file for pair in found.pairs if pair.image_file is not None and _silent_turn(pair))
        places = ((file.path, f"orientation {file.orientation}") for file in turned)
        yield from report("exif-orientation", "warning", split, title, remedy, places)


def _silent_turn(pair: PairSummary) -> bool:
    file, mask = pair.image_file, pair.mask
    if file is None or mask is None or file.orientation == 1:
        return False
    return file.orientation < 5 or file.stored[0] == file.stored[1]
