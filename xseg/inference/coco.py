"""Masks as COCO annotations: one run-length encoded region per image and class, as pycocotools reads it.

Source: COCO data format and `pycocotools/mask.py`: runs go down the columns, and begin with the pixels outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.atomic import atomic_path
from xseg.errors import DataError
from xseg.inference.geotiff import geo_environment
from xseg.labels import LabelMap
from xseg.types import PathArgument

STRIP_PIXELS = 2**26  # of a GeoTIFF, that are read at a time
FIRST_CATEGORY = 1  # COCO keeps 0 for "nothing": the category of a class is its train id + 1

Annotation: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class CocoImage:
    """An image and what is in it.

    Args:
        file_name: of the image.
        height: in pixels.
        width: in pixels.
        annotations: as `coco_annotations` gives them.
    """

    file_name: str
    height: int
    width: int
    annotations: list[Annotation]


@dataclass(frozen=True, eq=False)
class _Runs:
    """Stretches of one class, down the columns of a mask: places are column * height + row."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    classes: NDArray[np.int64]


def coco_annotations(mask: NDArray[Any] | PathArgument, labels: LabelMap) -> list[Annotation]:
    """Return an annotation per class that is in a mask.

    Args:
        mask: (H, W) integer train ids, or a GeoTIFF of them, which is read in strips. Values that are no class are
            left out.
        labels: what the train ids mean.

    Returns:
        Plain values, for JSON: `category_id` (train id + 1), `segmentation` (`size` and compressed `counts`), `area` in
        pixels, `bbox` (left, top, width, height) and `iscrowd`, 1 as a class is no single object.

    Raises:
        DataError: if the mask cannot be read.
        MissingExtraError: if the mask is a GeoTIFF, and rasterio is not installed.
    """
    with _strips(mask) as (strips, height, width):
        found = [_runs(strip, first * height, len(labels)) for first, strip in strips]
    runs = _Runs(
        *(np.concatenate(parts) for parts in zip(*((r.starts, r.ends, r.classes) for r in found), strict=True))
    )
    return [_annotation(runs, class_id, height, width) for class_id in np.unique(runs.classes).tolist()]


def write_coco(images: Iterable[CocoImage], destination: PathArgument, labels: LabelMap) -> Path:
    """Write a COCO file of images, categories and annotations, whole or not at all.

    `pycocotools.coco.COCO` opens it, and its `annotations` are what `COCO.loadRes` takes as results.

    Args:
        images: taken one by one; ids count from 1 in their order.
        destination: the file.
        labels: the categories.

    Returns:
        The file.

    Raises:
        OSError: if the file cannot be written.
    """
    categories = [{"id": index + FIRST_CATEGORY, "name": name} for index, name in enumerate(labels.names)]
    entries: list[Annotation] = []
    with atomic_path(destination) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)}, "annotations": [')
        count = 0
        for image_id, image in enumerate(images, 1):
            entry = {"id": image_id, "file_name": image.file_name, "height": image.height, "width": image.width}
            entries.append(entry)
            for annotation in image.annotations:
                file.write(",\n" if count else "\n")
                count += 1
                file.write(json.dumps({"id": count, "image_id": image_id, **annotation}))
        file.write(f'\n], "images": {json.dumps(entries, ensure_ascii=False)}}}\n')
    return Path(destination)


@contextmanager
def _strips(mask: NDArray[Any] | PathArgument) -> Iterator[tuple[Iterator[tuple[int, NDArray[Any]]], int, int]]:
    """Give the mask in strips of whole columns, each with its first column, and height and width."""
    if isinstance(mask, np.ndarray):
        if mask.ndim != 2 or not mask.size:
            raise DataError(f"a mask of shape {mask.shape}", expected="(height, width), at least one pixel")
        yield iter([(0, mask)]), *mask.shape
        return
    with geo_environment(f"{mask}, a GeoTIFF,"):
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            dataset = rasterio.open(mask, driver="GTiff")
        except RasterioError as error:
            raise DataError(f"{mask} cannot be read: {error}", expected="a GeoTIFF of train ids") from error
        with dataset:
            height, width = dataset.shape
            step = max(1, STRIP_PIXELS // height)
            windows = (Window(first, 0, min(step, width - first), height) for first in range(0, width, step))
            yield ((int(window.col_off), dataset.read(1, window=window)) for window in windows), height, width


def _runs(strip: NDArray[Any], offset: int, classes: int) -> _Runs:
    """Return the runs of the classes in (H, w) whole columns; places count from `offset`."""
    values = strip.T.ravel()
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [values.size]])
    found = values[starts].astype(np.int64)
    known = (found >= 0) & (found < classes)
    return _Runs(starts[known] + offset, ends[known] + offset, found[known])


def _annotation(runs: _Runs, class_id: int, height: int, width: int) -> Annotation:
    chosen = runs.classes == class_id
    starts, ends = runs.starts[chosen], runs.ends[chosen]
    edges = np.empty(2 * len(starts) + 2, np.int64)
    edges[0], edges[-1] = 0, height * width
    edges[1:-1:2], edges[2:-1:2] = starts, ends
    counts = np.diff(edges)  # outside, inside, outside, …; a seam between strips leaves 0 outside, which is valid
    first, last = starts // height, (ends - 1) // height
    tall = last > first  # goes on in the next column, and so reaches from the bottom to the top
    top = 0 if tall.any() else int((starts % height).min())
    bottom = height - 1 if tall.any() else int(((ends - 1) % height).max())
    left, right = int(first.min()), int(last.max())
    return {
        "category_id": class_id + FIRST_CATEGORY,
        "segmentation": {"size": [height, width], "counts": _compressed(counts, height, width)},
        "area": int((ends - starts).sum()),
        "bbox": [left, top, right - left + 1, bottom - top + 1],
        "iscrowd": 1,
    }


def _compressed(counts: NDArray[np.int64], height: int, width: int) -> str:
    from pycocotools import mask as encoder  # slow to import, and rarely needed

    encoded = encoder.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return str(encoded["counts"], "ascii")
