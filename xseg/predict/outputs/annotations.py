"""Masks as COCO annotations: one run-length encoded region per image and class, for pycocotools.

Source: COCO data format and `pycocotools/mask.py`: runs go down the columns, starting with the pixels outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError
from xseg.files.atomic import atomic_path
from xseg.inference.prediction import present_classes
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment, open_geotiff
from xseg.types import PathArgument

STRIP_PIXELS = 2**26  # pixels of a GeoTIFF that are read at a time
FIRST_CATEGORY = 1  # COCO keeps 0 for "nothing": the category of a class is its train id + 1

Annotation: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class CocoImage:
    """An image, with its size in pixels, and its annotations from `coco_annotations`."""

    file_name: str
    height: int
    width: int
    annotations: list[Annotation]


def coco_annotations(mask: NDArray[Any] | PathArgument, labels: LabelMap) -> list[Annotation]:
    """Return one annotation per class in a mask, except for the background.

    Args:
        mask: train ids, (H, W) integers, or a GeoTIFF with train ids, which is read in strips. Values that are not
            classes are left out. Of overlapping classes, (H, W, classes) of 0 and 1, or a GeoTIFF with a band of them
            per class.
        labels: label map of the train ids and their background.

    Returns:
        Dictionaries that JSON can hold, with `category_id` (train id + 1), `segmentation` (`size` and compressed
        `counts`), `area` in pixels, `bbox` (left, top, width, height) and `iscrowd`, 1 as a class is not an object.

    Raises:
        DataError: if the mask cannot be read.
        MissingExtraError: if the mask is a GeoTIFF, and rasterio is not installed.
    """
    from pycocotools import mask as encoder  # slow to import, and rarely needed

    if not isinstance(mask, np.ndarray):
        encoded = _encoded_by_strips(mask, labels)
    elif mask.ndim != 2 + labels.overlapping or not mask.size:
        raise DataError(f"a mask of shape {mask.shape}", expected="(height, width), at least one pixel")
    else:
        present = [index for index in present_classes(mask, len(labels)) if index in labels.objects]
        bands = {index: mask[..., index] == 1 if labels.overlapping else mask == index for index in present}
        encoded = {index: encoder.encode(np.asfortranarray(band, np.uint8)) for index, band in bands.items()}
    return [
        {
            "category_id": class_id + FIRST_CATEGORY,
            "segmentation": {"size": [int(side) for side in runs["size"]], "counts": str(runs["counts"], "ascii")},
            "area": int(encoder.area(runs)),
            "bbox": [int(value) for value in encoder.toBbox(runs)],
            "iscrowd": 1,
        }
        for class_id, runs in encoded.items()
    ]


def write_coco(images: Iterable[CocoImage], destination: PathArgument, labels: LabelMap) -> Path:
    """Write a COCO file with images, categories and annotations, completely or not at all.

    `pycocotools.coco.COCO` opens the file, and `COCO.loadRes` takes its `annotations` as results. Images are consumed
    one by one; their ids start at 1. Returns the path of the file.

    Raises:
        OSError: if the file cannot be written.
    """
    categories = [{"id": index + FIRST_CATEGORY, "name": labels.names[index]} for index in labels.objects]
    entries: list[Annotation] = []
    with atomic_path(destination) as temporary, temporary.open("w", encoding="utf-8") as file:
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


def _encoded_by_strips(mask: PathArgument, labels: LabelMap) -> dict[int, Any]:
    """Return the compressed run lengths of each class in a GeoTIFF, read by strips of columns."""
    encoded: dict[int, Any] = {}
    with geo_environment(f"{mask}, a GeoTIFF,"):
        from rasterio.windows import Window

        with open_geotiff(mask, expected="a GeoTIFF of train ids") as dataset:
            height, width = dataset.shape
            step = max(1, STRIP_PIXELS // height)
            for band in labels.objects if labels.overlapping else (0,):
                found = []
                for first in range(0, width, step):
                    window = Window(first, 0, min(step, width - first), height)
                    found.append(_runs(dataset.read(band + 1, window=window), first * height))
                classes = {1: band} if labels.overlapping else {index: index for index in labels.objects}
                encoded |= _encoded_runs(found, classes, (height, width))
    return encoded


def _encoded_runs(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
    classes: Mapping[int, int],
    size: tuple[int, int],
) -> dict[int, Any]:
    """Return the compressed run lengths of each class, from the runs of strips and the classes of their values."""
    from pycocotools import mask as encoder

    starts, ends, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    encoded = {}
    for value in (value for value in np.unique(values).tolist() if value in classes):
        edges = np.stack([starts, ends], axis=1)[values == value].ravel()
        # outside, inside, outside, …; a seam between strips leaves 0 outside, which is valid
        counts = np.diff(edges, prepend=0, append=size[0] * size[1])
        encoded[classes[value]] = encoder.frPyObjects({"size": [*size], "counts": counts.tolist()}, *size)
    return encoded


def _runs(strip: NDArray[Any], offset: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return starts, ends and values of the runs in complete columns (H, w); positions start at `offset`."""
    values = strip.T.ravel()
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts = np.concatenate([[0], changes])
    return starts + offset, np.concatenate([changes, [values.size]]) + offset, values[starts].astype(np.int64)
