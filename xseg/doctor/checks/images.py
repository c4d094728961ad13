"""Checks of images as input of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xseg.doctor.finding import Finding, first_places
from xseg.doctor.summary import DataSummary, PairSummary

_COLORS = ("RGB", "RGBA", "CMYK", "YCbCr", "P")
_GREYS = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def kinds(summary: DataSummary) -> Iterator[Finding]:
    """Find images of different bit depths, which one normalisation does not fit."""
    found = [(pair, image) for split in summary.splits.values() for pair, image in split.images()]
    counts = Counter(image.kind for _, image in found)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        others = [(pair, image) for pair, image in found if image.kind != usual]
        listed = " and ".join(f"{count} {kind}" for kind, count in counts.most_common())
        yield Finding(
            "mixed-bit-depths",
            "error",
            None,
            f"images of different bit depths: {listed}",
            f"convert all to one depth; most are {usual}",
            len(others),
            first_places((_path(pair), image.kind) for pair, image in others),
            numbers=dict(counts),
        )


def shallow(summary: DataSummary) -> Iterator[Finding]:
    """Find 16-bit files whose values fit into 8 bits, which would be almost black."""
    for split, found in summary.splits.items():
        deep = [(pair, image) for pair, image in found.images() if image.kind == "uint16"]
        if deep and all(image.high <= 255 for _, image in deep):
            top = max(image.high for _, image in deep)
            yield Finding(
                "shallow-images",
                "warning",
                split,
                f"16-bit images without a value above {top:.0f}: {len(deep)}",
                "write them with 8 bits: divided by 65535 they would be almost black",
                len(deep),
                first_places((_path(pair), f"values {image.low:.0f} to {image.high:.0f}") for pair, image in deep),
            )


def not_finite(summary: DataSummary) -> Iterator[Finding]:
    """Find float images with infinite or NaN values, which make the loss NaN."""
    for split, found in summary.splits.items():
        wrong = [pair for pair, image in found.images() if not image.finite]
        if wrong:
            yield Finding(
                "not-finite",
                "error",
                split,
                f"images with infinite or NaN values: {len(wrong)}",
                "replace these values, and set their pixels to ignored in the mask",
                len(wrong),
                first_places((_path(pair), "") for pair in wrong),
            )


def constant(summary: DataSummary) -> Iterator[Finding]:
    """Find images with a single value."""
    for split, found in summary.splits.items():
        flat = [(pair, image) for pair, image in found.images() if image.finite and image.low == image.high]
        if flat:
            yield Finding(
                "constant-images",
                "warning",
                split,
                f"images with a single value in every pixel: {len(flat)}",
                "remove them with their masks; the export probably failed",
                len(flat),
                first_places((_path(pair), f"value {image.low:g}") for pair, image in flat),
            )


def channels(summary: DataSummary) -> Iterator[Finding]:
    """Find grey files among colour files."""
    for split, found in summary.splits.items():
        files = [pair.image_file for pair in found.pairs if pair.image_file is not None and pair.image is not None]
        grey = [file for file in files if file.mode in _GREYS]
        color = [file for file in files if file.mode in _COLORS]
        if grey and color:
            rare = min(grey, color, key=len)
            listed = f"grey images among colour images: {len(grey)} and {len(color)}"
            remedy = f"all are read with {summary.channels} channels; convert them if this is not intended"
            places = first_places((file.path, file.mode) for file in rare)
            yield Finding("mixed-channels", "warning", split, listed, remedy, len(rare), places)


def small(summary: DataSummary) -> Iterator[Finding]:
    """Find training images smaller than the crop, whose crops contain padding."""
    if "train" not in summary.splits:
        return
    images = list(summary.splits["train"].images())
    height, width = summary.crop
    tiny = [(pair, image) for pair, image in images if image.size[0] < height or image.size[1] < width]
    if tiny:
        yield Finding(
            "smaller-than-crop",
            "warning",
            "train",
            f"images smaller than the crop of {height}x{width}: {len(tiny)} of {len(images)}",
            "set crop to at most the size of the images",
            len(tiny),
            first_places((_path(pair), f"{image.size[0]}x{image.size[1]}") for pair, image in tiny),
            numbers={"smallest": list(min(image.size for _, image in tiny))},
        )


def mixed_sizes(summary: DataSummary) -> Iterator[Finding]:
    """Find validation or test images of several sizes, which are evaluated one by one."""
    for split, found in summary.splits.items():
        sizes = Counter(image.size for _, image in found.images())
        if len(sizes) > 1 and split != "train":
            listed = ", ".join(f"{height}x{width}" for (height, width), _ in sizes.most_common(3))
            more = ", ..." if len(sizes) > 3 else ""
            yield Finding(
                "mixed-sizes",
                "note",
                split,
                f"images of {len(sizes)} sizes ({listed}{more})",
                "nothing to do: they are evaluated one by one, which is slower than in batches",
                len(sizes),
            )


def orientations(summary: DataSummary) -> Iterator[Finding]:
    """Find images that EXIF rotates or mirrors without changing their shape, so that the mask may not match."""
    for split, found in summary.splits.items():
        turned = [pair.image_file for pair in found.pairs if pair.image_file is not None and _silent_turn(pair)]
        if turned:
            yield Finding(
                "exif-orientation",
                "warning",
                split,
                "images that EXIF rotates or mirrors, with masks whose size does not show whether they match: "
                f"{len(turned)}",
                "check them with `xseg data preview`; write the images without EXIF orientation",
                len(turned),
                first_places((file.path, f"orientation {file.orientation}") for file in turned),
            )


def _silent_turn(pair: PairSummary) -> bool:
    file, mask = pair.image_file, pair.mask
    if file is None or mask is None or file.orientation == 1:
        return False
    return file.orientation < 5 or file.stored[0] == file.stored[1]


def _path(pair: PairSummary) -> str:
    return pair.name if pair.image_file is None else str(pair.image_file.path)
