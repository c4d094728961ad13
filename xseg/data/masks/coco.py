"""Masks from COCO's annotations: listing of images, and drawing of objects and segments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xseg.data.lists import is_file, require_files
from xseg.data.masks.coco_json import RunLengths, Segmentation, load_coco
from xseg.data.masks.colors import read_colors
from xseg.data.masks.numbers import empty_label, mask_of, raw_id_of, smallest_type
from xseg.data.patterns import SPLIT
from xseg.data.sample import Array, Record
from xseg.errors import DataError
from xseg.images.reading import image_size
from xseg.labels.label_map import LabelMap

_FARTHEST = 4  # image sides that a polygon may reach beyond the image


@dataclass(frozen=True)
class CocoListing:
    """Listing of the images in a JSON file of instances or of a panoptic one.

    Args:
        root: folder of the data set.
        file: JSON file below root, with {split} in its name.
        images: folder of the images below root, with {split} in its name.
        masks: folder of the masks of a panoptic file below root; empty for instances.
    """

    root: Path
    file: str
    images: str
    masks: str = ""

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the records of a split."""
        path, folder, masks = (self.root / part.replace(SPLIT, split) for part in (self.file, self.images, self.masks))
        pictures = load_coco(path).pictures
        if not self.masks:
            missing = [picture.file for picture in pictures.values() if not is_file(folder / picture.file)]
            require_files(missing, len(pictures), path, folder)
            return tuple(Record(name, folder / picture.file, path) for name, picture in pictures.items())
        records = tuple(
            Record(name, folder / picture.file, masks / picture.segments[0])
            for name, picture in pictures.items()
            if picture.segments is not None
        )
        files = [file for record in records for file in (record.image, mask_of(record))]
        require_files([str(file) for file in files if not is_file(file)], len(files), path, self.root)
        return records


@dataclass(frozen=True)
class InstanceShapes:
    """Draws the objects of an image, larger ones first, so that smaller ones on top stay visible.

    Args:
        labels: classes; a category is the class with the same name.
        background: class of the pixels that no object covers; they are ignored if no class has this name.
    """

    labels: LabelMap
    background: str = ""

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's objects, (H, W) uint8 or uint16."""
        path = mask_of(record)
        coco = load_coco(path)
        picture = coco.pictures[record.name]
        height, width = picture.size if all(picture.size) else image_size(record.image)
        numbers = empty_label(self.labels, self.background, (height, width))
        name = f"{path}, image {picture.file}"
        objects = [(category, *_object_pixels(shape, height, width, name)) for category, shape in picture.shapes]
        # equal areas stay in the order of the file, as sorting is stable
        for category, pixels, top, left in sorted(objects, key=lambda found: -np.count_nonzero(found[1])):
            box = numbers[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            box[pixels] = raw_id_of(self.labels, coco.categories[category], path)
        return numbers


@dataclass(frozen=True)
class PanopticMasks:
    """Reads panoptic PNGs, whose colours are segment ids, red + 256 green + 65536 blue; 0 is unlabelled.

    Args:
        labels: classes; a category is the class with the same name.
        files: JSON file with the segments for the mask folder of each split.

    Source: COCO, "Data format", 4. Panoptic Segmentation.
    """

    labels: LabelMap
    files: tuple[tuple[Path, Path], ...]

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's segments, (H, W) uint8 or uint16."""
        mask = mask_of(record)
        path = dict(self.files)[mask.parent]
        coco = load_coco(path)
        picture = coco.pictures[record.name]
        segments = dict(picture.segments[1] if picture.segments else ())
        raw = {number: raw_id_of(self.labels, coco.categories[place], path) for number, place in segments.items()}
        raw[0] = self.labels.ignore_index
        ids = np.array(sorted(raw), np.uint32)
        colors = read_colors(mask).astype(np.uint32)
        found = colors[..., 0] | colors[..., 1] << 8 | colors[..., 2] << 16
        places = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
        strange = ids[places] != found
        if strange.any():
            row, column = (int(place[0]) for place in np.nonzero(strange))
            segment = f"segment {int(found[row, column])} at row {row}, column {column}"
            got = f"mask {mask} has {segment}, which is not in {path}"
            raise DataError(got, expected="an entry per segment", remedy="use the mask's JSON file")
        table = np.array([raw[int(number)] for number in ids], smallest_type(raw.values()))
        return table[places]


def _object_pixels(shape: Segmentation, height: int, width: int, name: str) -> tuple[Array, int, int]:
    """Return the pixels of an object within its bounding box, (h, w) bool, and the box's first row and column."""
    if isinstance(shape, RunLengths):
        return _from_runs(shape, height, width, name), 0, 0
    if not shape:
        raise DataError(f"{name} has an object without a shape", expected="polygons or run lengths, not only a box")
    points = np.concatenate(shape)
    far = (np.abs(points) > _FARTHEST * max(height, width)) | ~np.isfinite(points)
    if far.any():  # pycocotools would go there pixel by pixel and fill the memory
        point = points[int(np.nonzero(far)[0][0])].tolist()
        raise DataError(f"{name} has a polygon with the point {point}", expected=f"points in {height}x{width} pixels")
    from pycocotools import mask as rle

    left, top = (int(value) for value in np.clip(np.floor(points.min(axis=0)) - 1, 0, (width, height)))
    right, bottom = (int(value) for value in np.clip(np.ceil(points.max(axis=0)) + 1, 0, (width, height)))
    if right <= left or bottom <= top:
        return np.zeros((0, 0), bool), 0, 0
    polygons = [(polygon - (left, top)).ravel().tolist() for polygon in shape]
    encoded = rle.merge(rle.frPyObjects(polygons, bottom - top, right - left))
    return rle.decode(encoded).astype(bool), top, left


def _from_runs(runs: RunLengths, height: int, width: int, name: str) -> Array:
    """Return the pixels (H, W) bool of run lengths, which run down the columns and start with zeros.

    pycocotools' own decoder leaves memory uninitialised if the runs end early.
    """
    counts = runs.counts if isinstance(runs.counts, np.ndarray) else unpacked_runs(runs.counts)
    within = counts.min(initial=0) >= 0 and counts.max(initial=0) <= height * width  # keeps the sum from overflowing
    if runs.size != (height, width) or not within or int(counts.sum()) != height * width:
        got = f"{name} has run lengths of {int(counts.sum())} pixels for {runs.size[0]}x{runs.size[1]}"
        raise DataError(got, expected=f"{height * width} for {height}x{width}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def unpacked_runs(counts: bytes) -> Array:
    """Return the run lengths, (N,) int64, from COCO's compressed string.

    Each length is encoded in characters of 5 bits and a continuation bit; from the third on, as the difference from
    the length two places before.

    Source: pycocotools, common/maskApi.c, rleFrString.
    """
    found: list[int] = []
    value = shift = 0
    for byte in counts:
        bits = byte - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    return np.array(found, np.int64)
