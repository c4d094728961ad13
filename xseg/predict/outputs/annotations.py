"""Masks as COCO annotations: one run-length encoded region per image and class, as pycocotools reads it.

Source: COCO data format and `pycocotools/mask.py`: runs go down the columns, and begin with the pixels outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError
from xseg.files.atomic import atomic_path
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment
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
    from pycocotools import mask as encoder  # slow to import, and rarely needed

    if not isinstance(mask, np.ndarray):
        encoded = _encoded_by_strips(mask, len(labels))
    elif mask.ndim != 2 or not mask.size:
        raise DataError(f"a mask of shape {mask.shape}", expected="(height, width), at least one pixel")
    else:
        present = [class_id for class_id in np.unique(mask).tolist() if 0 <= class_id < len(labels)]
        encoded = {class_id: encoder.encode(np.asfortranarray(mask == class_id, np.uint8)) for class_id in present}
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


def _encoded_by_strips(mask: PathArgument, classes: int) -> dict[int, Any]:
    """Return the compressed run lengths of each class that is in a GeoTIFF of train ids, read by strips of columns."""
    from pycocotools import mask as encoder

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
            found = [
                _runs(dataset.read(1, window=Window(first, 0, min(step, width - first), height)), first * height)
                for first in range(0, width, step)
            ]
    starts, ends, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    encoded = {}
    for class_id in (class_id for class_id in np.unique(values).tolist() if 0 <= class_id < classes):
        edges = np.stack([starts, ends], axis=1)[values == class_id].ravel()
        # outside, inside, outside, …; a seam between strips leaves 0 outside, which is valid
        counts = np.diff(edges, prepend=0, append=height * width)
        encoded[class_id] = encoder.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return encoded


def _runs(strip: NDArray[Any], offset: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return starts, ends and values of the runs down (H, w) whole columns; places count from `offset`."""
    values = strip.T.ravel()
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts = np.concatenate([[0], changes])
    return starts + offset, np.concatenate([changes, [values.size]]) + offset, values[starts].astype(np.int64)
