"""Summaries of pairs of files, which are decoded once and completely."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from xseg.data.masks.binary import without_invalid
from xseg.data.masks.numbers import count_values, mask_of, read_index_mask
from xseg.data.pairs import FileReader
from xseg.data.sample import Array, Reader, Record
from xseg.doctor.listing import Task
from xseg.doctor.summary import FileSummary, ImageSummary, MaskSummary, PairSummary, Unknown
from xseg.doctor.thumbnail import thumbnail
from xseg.errors import DataError
from xseg.images.reading import orientation_of
from xseg.types import RGB

_LISTED_VALUES, _LISTED_COLORS = 16, 64
_ROW_STEP = 3  # borders are examined on every third row, which is enough for a share
_PAGED_FORMATS = ("TIFF", "GIF")  # in other formats, counting the frames would decode them
_TRANSPARENT_MODES = ("LA", "PA", "La", "RGBA", "RGBa")


@dataclass(frozen=True)
class PairSummarizer:
    """Summarizes pairs of a reader; sent to each worker process once."""

    reader: Reader

    def __call__(self, task: Task) -> PairSummary:
        """Return the summary of a pair, with the faults of files that cannot be decoded."""
        unlabelled = task.record is not None and task.record.mask is None
        return replace(self._look(task), unlabelled=unlabelled, unpaired=task.record is None, similar=task.similar)

    def _look(self, task: Task) -> PairSummary:
        image_file = None if task.image is None else summarize_file(task.image)
        mask_file = None if task.mask is None else summarize_file(task.mask)
        if task.record is None or not isinstance(self.reader, FileReader):
            return self._of_sample(task, PairSummary(task.name, image_file, mask_file=mask_file))
        reader, fault, image, mask = self.reader, "", None, None
        try:
            image = summarize_image(reader.read_image(task.record))
        except DataError as error:
            fault = str(error)
            image_file = None if image_file is None else replace(image_file, fault=fault)
        try:
            mask = None if task.record.mask is None else self._mask(reader, task.record)
        except DataError as error:
            fault = str(error)
            mask_file = None if mask_file is None else replace(mask_file, fault=fault)
        reported = any(file is not None and file.fault for file in (image_file, mask_file))
        return PairSummary(task.name, image_file, image, mask_file, mask, "" if reported else fault)

    def _mask(self, reader: FileReader, record: Record) -> MaskSummary:
        known, numeric, path = set(reader.labels.train_ids()), has_numeric_masks(reader), mask_of(record)
        try:
            numbers = reader.decode(record)
        except DataError:
            colors = _color_mask(path, known) if numeric else None
            if colors is None:
                raise
            return colors
        summary = summarize_mask(without_invalid(numbers, record, reader.labels.ignore_index), known)
        return _with_palette(summary, path) if numeric else summary

    def _of_sample(self, task: Task, files: PairSummary) -> PairSummary:
        """Summarize a record from the sample of its reader, whose masks hold train ids."""
        if task.record is None:
            return files
        try:
            sample = self.reader.read(task.record)
        except DataError as error:
            return replace(files, fault=str(error))
        labels = self.reader.labels
        known = {*range(len(labels)), labels.ignore_index}
        mask = None if sample.mask is None else summarize_mask(sample.mask, known)
        return replace(files, image=summarize_image(sample.image), mask=mask)


def has_numeric_masks(reader: Reader) -> bool:
    """Return whether mask files hold one class number per pixel, so that the files can be checked directly."""
    return isinstance(reader, FileReader) and reader.decode is read_index_mask


def summarize_file(path: Path) -> FileSummary:
    """Return the summary of a file from its content and header, without decoding."""
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        return FileSummary(path, 0, b"", f"{path} cannot be read ({error.strerror})")
    try:
        with Image.open(path) as picture:
            return FileSummary(
                path,
                length,
                digest,
                format=picture.format or "",
                mode=picture.mode,
                lossy=_is_lossy(path, picture),
                frames=int(getattr(picture, "n_frames", 1)) if picture.format in _PAGED_FORMATS else 1,
                stored=(picture.height, picture.width),
                orientation=orientation_of(picture, header_only=True),
            )
    except Exception:  # unreadable headers raise almost any exception; decoding reports the fault
        return FileSummary(path, length, digest)


def summarize_image(image: Array) -> ImageSummary:
    """Return the summary of an image (H, W, C)."""
    finite = bool(np.isfinite(image).all()) if image.dtype.kind == "f" else True
    return ImageSummary(
        size=(image.shape[0], image.shape[1]),
        kind=str(image.dtype),
        low=float(image.min()),
        high=float(image.max()),
        finite=finite,
        digest=_digest(image),
        thumbnail=thumbnail(image) if finite else b"",
    )


def summarize_mask(mask: Array, known: set[int]) -> MaskSummary:
    """Return the summary of a mask of class numbers, of which the `known` ones have a meaning.

    The mask is (H, W) uint8 or uint16; (H, W, classes) uint8 for overlapping classes.
    """
    if mask.ndim == 3:
        shape = len(zlib.compress(mask[::2].tobytes(), 1))
        size = (mask.shape[0], mask.shape[1])
        return MaskSummary(size, str(mask.dtype), count_values(mask), shape=shape, digest=_digest(mask))
    counts = np.bincount(mask.ravel())
    present = [int(value) for value in np.flatnonzero(counts)]
    unknown = sorted((value for value in present if value not in known), key=lambda value: -int(counts[value]))
    return MaskSummary(
        size=(mask.shape[0], mask.shape[1]),
        kind=str(mask.dtype),
        values={value: int(counts[value]) for value in present if value in known},
        unknown=tuple(_unknown(mask, value, int(counts[value])) for value in unknown[:_LISTED_VALUES]),
        unknown_values=len(unknown),
        unknown_pixels=int(sum(counts[value] for value in unknown)),
        between=share_between(mask),
        shape=len(zlib.compress(mask[::2].tobytes(), 1)),
        digest=_digest(mask),
    )


def share_between(mask: Array) -> float:
    """Return the share, 0 to 1, of borders in a mask, (H, W) integers, at which a pixel lies strictly between both.

    A border is a pixel whose left and right neighbours differ by 2 or more. Masks that were resized with
    interpolation have a number between at 20 to 90 of 100 borders, CamVid's real masks at most at 2. The share is 0
    for a mask with fewer than 20 borders.
    """
    rows = mask[::_ROW_STEP].astype(np.int32)
    left, middle, right = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    far = np.abs(left - right) >= 2
    borders = int(np.count_nonzero(far))
    if borders < 20:
        return 0.0
    left, middle, right = left[far], middle[far], right[far]
    between = (middle > np.minimum(left, right)) & (middle < np.maximum(left, right))
    return float(np.count_nonzero(between)) / borders


def _with_palette(summary: MaskSummary, path: Path) -> MaskSummary:
    """Add the palette colours of the numbers."""
    if path.suffix.lower() == ".npy":
        return summary
    with Image.open(path) as picture:
        table = picture.getpalette("RGB") if picture.mode == "P" else None
    if not table:
        return summary
    colors = list(zip(table[::3], table[1::3], table[2::3], strict=True))
    return replace(
        summary, palette={number: colors[number] for number in sorted(summary.numbers) if number < len(colors)}
    )


def _color_mask(path: Path, known: set[int]) -> MaskSummary | None:
    """Return the summary of a mask with colours or transparency; None for other or damaged files."""
    try:
        with Image.open(path) as picture:
            transparent = picture.mode in _TRANSPARENT_MODES
            rgb = picture.convert("RGB")
    except Exception:  # the reader reports the fault
        return None
    pixels, found = np.asarray(rgb), cast("list[tuple[int, RGB]]", rgb.getcolors(rgb.width * rgb.height))
    frequent = sorted(found, key=lambda entry: (-entry[0], entry[1]))[:_LISTED_COLORS]
    colors = {color: count for count, color in frequent}
    equal = bool((pixels == pixels[..., :1]).all())
    numbers = summarize_mask(np.ascontiguousarray(pixels[..., 0]), known)
    if not equal:
        numbers = MaskSummary(numbers.size, numbers.kind, {})
    return replace(
        numbers,
        colors=colors,
        more_colors=len(found) - len(colors),
        equal_channels=equal,
        transparency=transparent,
        digest=_digest(pixels),
    )


def _digest(array: Array) -> bytes:
    return hashlib.blake2b(f"{array.shape}{array.dtype}".encode() + array.tobytes(), digest_size=16).digest()


def _unknown(mask: Array, value: int, pixels: int) -> Unknown:
    row, column = divmod(int(np.argmax(mask.ravel() == value)), mask.shape[1])
    return Unknown(value, pixels, row, column)


def _is_lossy(path: Path, picture: Image.Image) -> bool:
    if picture.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8L" not in file.read(64)
    return picture.format in ("JPEG", "MPO")
