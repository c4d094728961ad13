"""The one look at a pair of files: decoded whole, and reduced to facts."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from xseg.data.masks.numbers import mask_of, read_index_mask
from xseg.data.pairs import FileReader
from xseg.data.sample import Array, Reader, Record
from xseg.doctor.listing import Task
from xseg.doctor.summary import FileFacts, ImageFacts, MaskFacts, PairFacts, Unknown
from xseg.doctor.thumbnail import thumbnail
from xseg.errors import DataError
from xseg.images.reading import orientation_of
from xseg.types import RGB

_LISTED_VALUES, _LISTED_COLORS = 16, 64
_ROW_STEP = 3  # borders are judged on every third row: enough for a share
_PAGED_FORMATS = ("TIFF", "GIF")  # of others, counting the frames would decode them
_TRANSPARENT_MODES = ("LA", "PA", "La", "RGBA", "RGBa")


@dataclass(frozen=True)
class Look:
    """Looks at pairs. It is sent to worker processes once.

    Args:
        reader: the data set.
    """

    reader: Reader

    def __call__(self, task: Task) -> PairFacts:
        """Return the facts of a pair; what cannot be decoded is a fact too."""
        unlabelled = task.record is not None and task.record.mask is None
        return replace(self._look(task), unlabelled=unlabelled, unpaired=task.record is None, similar=task.similar)

    def _look(self, task: Task) -> PairFacts:
        image_file = None if task.image is None else file_facts(task.image)
        mask_file = None if task.mask is None else file_facts(task.mask)
        if task.record is None or not isinstance(self.reader, FileReader):
            return self._of_sample(task, PairFacts(task.name, image_file, mask_file=mask_file))
        reader, fault, image, mask = self.reader, "", None, None
        try:
            image = image_facts(reader.read_image(task.record))
        except DataError as error:
            fault = str(error)
            image_file = None if image_file is None else replace(image_file, fault=fault)
        try:
            mask = None if task.record.mask is None else self._mask(reader, task.record)
        except DataError as error:
            fault = str(error)
            mask_file = None if mask_file is None else replace(mask_file, fault=fault)
        told = any(file is not None and file.fault for file in (image_file, mask_file))
        return PairFacts(task.name, image_file, image, mask_file, mask, "" if told else fault)

    def _mask(self, reader: FileReader, record: Record) -> MaskFacts:
        known = set(reader.labels.train_ids())
        path = mask_of(record)
        if not is_plain(reader):
            return mask_facts(reader.decode(record), known)
        try:
            return _with_palette(mask_facts(reader.decode(record), known), path)
        except DataError:
            colors = _color_mask(path, known)
            if colors is None:
                raise
            return colors

    def _of_sample(self, task: Task, files: PairFacts) -> PairFacts:
        """Look at a record through what its reader returns, whose masks hold train ids."""
        if task.record is None:
            return files
        try:
            sample = self.reader.read(task.record)
        except DataError as error:
            return replace(files, fault=str(error))
        labels = self.reader.labels
        known = {*range(len(labels)), labels.ignore_index}
        mask = None if sample.mask is None else mask_facts(sample.mask, known)
        return replace(files, image=image_facts(sample.image), mask=mask)


def is_plain(reader: Reader) -> bool:
    """Tell whether a mask's file holds one number per pixel, so that the file itself can be judged."""
    return isinstance(reader, FileReader) and reader.decode is read_index_mask


def file_facts(path: Path) -> FileFacts:
    """Return what a file's content and header tell; it is not decoded."""
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        return FileFacts(path, 0, b"", f"{path} cannot be read ({error.strerror})")
    try:
        with Image.open(path) as picture:
            return FileFacts(
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
    except Exception:  # a header that Pillow cannot read raises nearly anything; decoding tells what is wrong
        return FileFacts(path, length, digest)


def image_facts(image: Array) -> ImageFacts:
    """Return the facts of decoded pixels (H, W, C)."""
    finite = bool(np.isfinite(image).all()) if image.dtype.kind == "f" else True
    return ImageFacts(
        size=(image.shape[0], image.shape[1]),
        kind=str(image.dtype),
        low=float(image.min()),
        high=float(image.max()),
        finite=finite,
        digest=_digest(image),
        thumbnail=thumbnail(image) if finite else b"",
    )


def mask_facts(mask: Array, known: set[int]) -> MaskFacts:
    """Return the facts of a mask of numbers.

    Args:
        mask: (H, W) uint8 or uint16.
        known: the numbers that have a meaning.
    """
    counts = np.bincount(mask.ravel())
    present = [int(value) for value in np.flatnonzero(counts)]
    unknown = sorted((value for value in present if value not in known), key=lambda value: -int(counts[value]))
    return MaskFacts(
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
    """Return the share of borders between two numbers at which a pixel lies strictly between both.

    A border is a pixel whose left and right neighbours differ by 2 or more. Masks that were resized with
    interpolation have a number between at 20 to 90 in 100 of them, CamVid's real ones at 2 at most.

    Args:
        mask: (H, W) of whole numbers.

    Returns:
        0 to 1; 0 for a mask with fewer than 20 borders.
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


def _with_palette(facts: MaskFacts, path: Path) -> MaskFacts:
    """Add the colours of a palette image's numbers."""
    if path.suffix.lower() == ".npy":
        return facts
    with Image.open(path) as picture:
        table = picture.getpalette("RGB") if picture.mode == "P" else None
    if not table:
        return facts
    colors = list(zip(table[::3], table[1::3], table[2::3], strict=True))
    return replace(facts, palette={number: colors[number] for number in sorted(facts.numbers) if number < len(colors)})


def _color_mask(path: Path, known: set[int]) -> MaskFacts | None:
    """Return the facts of a mask of colours or with transparency; None if it is no such image or damaged."""
    try:
        with Image.open(path) as picture:
            transparent = picture.mode in _TRANSPARENT_MODES
            pixels = np.asarray(picture.convert("RGB"))
    except Exception:  # the reader's own error tells what is wrong
        return None
    packed = (pixels.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(axis=2, dtype=np.uint32)
    found, counts = np.unique(packed, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_LISTED_COLORS]
    colors: dict[RGB, int] = {
        (int(found[i]) >> 16, int(found[i]) >> 8 & 255, int(found[i]) & 255): int(counts[i]) for i in order
    }
    equal = bool((pixels == pixels[..., :1]).all())
    numbers = mask_facts(np.ascontiguousarray(pixels[..., 0]), known)
    if not equal:
        numbers = MaskFacts(numbers.size, numbers.kind, {})
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
