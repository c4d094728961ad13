"""COCO's JSON files, parsed once and kept in compact form."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from xseg.data.sample import Array
from xseg.errors import ConfigError, DataError
from xseg.images.quiet import pixel_limit
from xseg.labels.label_map import LabelMap


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A shape as run lengths of alternating zeros and ones, down the columns.

    Args:
        size: height and width.
        counts: lengths, (N,) int64, or COCO's compressed string.
    """

    size: tuple[int, int]
    counts: Array | bytes


Segmentation: TypeAlias = tuple[Array, ...] | RunLengths
"""Polygons, each (points, 2) float64 with x and y, or run lengths."""


@dataclass(frozen=True)
class CocoImage:
    """One image of a JSON file with its annotations.

    Args:
        file: file name of the image.
        size: height and width in pixels; (0, 0) if not in the JSON file.
        shapes: annotated objects, each with the index of its category in the list sorted by id.
        segments: for a panoptic file, the file name of the mask, and the category index of each segment id.
    """

    file: str
    size: tuple[int, int]
    shapes: tuple[tuple[int, Segmentation], ...] = ()
    segments: tuple[str, tuple[tuple[int, int], ...]] | None = None


@dataclass(frozen=True)
class CocoFile:
    """A parsed JSON file.

    Args:
        categories: category names, sorted by id.
        colors: colours of the categories; empty if the file has none.
        pictures: images by name, which is the file name without suffix.
    """

    categories: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    pictures: dict[str, CocoImage]


def categories_of(path: Path, background: str, ignore_index: int) -> LabelMap:
    """Return the categories of a JSON file, sorted by id, as classes, after the background unless it is among them.

    Args:
        path: path of the JSON file.
        background: name of the background class; empty for none.
        ignore_index: ignore index of the label map.

    Raises:
        DataError: if the file cannot be read, or its categories are not valid as classes.
    """
    coco = load_coco(path)
    first = [background] if background and background not in coco.categories else []
    colors = (*[(0, 0, 0)] * len(first), *coco.colors) if coco.colors else ()
    try:
        return LabelMap((*first, *coco.categories), colors, ignore_index)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def load_coco(path: Path) -> CocoFile:
    """Return a parsed JSON file, cached until the file changes.

    Raises:
        DataError: if it is missing, not JSON, or not in COCO's format.
    """
    try:
        return _load(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})", expected="a JSON file in COCO's format") from error


@lru_cache(maxsize=6)
def _load(path: Path, changed: int) -> CocoFile:  # noqa: ARG001 - part of the cache key
    try:
        with path.open("rb") as file:
            return _parsed(json.load(file), path)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        got = f"{path} is not in COCO's format ({reason})"
        raise DataError(got, expected="images, annotations and categories") from error


def _parsed(content: dict[str, Any], path: Path) -> CocoFile:
    categories = sorted(content["categories"], key=lambda category: int(category["id"]))
    places = {int(category["id"]): place for place, category in enumerate(categories)}
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    pictures: dict[str, CocoImage] = {}
    for image in content["images"]:
        file = str(image["file_name"])
        name = Path(file).with_suffix("").as_posix()
        if name in pictures:
            got = f"{path} has {pictures[name].file} and {file} with the same name"
            raise DataError(got, expected="one image per name")
        pictures[name] = _picture(image, by_image[image["id"]], places)
    named = tuple(str(category["name"]) for category in categories)
    colored = all(category.get("color") for category in categories)
    colors = [(int(r), int(g), int(b)) for r, g, b in (category["color"] for category in categories if colored)]
    return CocoFile(named, tuple(colors), pictures)


def _picture(image: dict[str, Any], annotations: list[dict[str, Any]], places: dict[int, int]) -> CocoImage:
    height, width = int(image.get("height") or 0), int(image.get("width") or 0)
    if min(height, width) < 0 or height * width > pixel_limit():
        raise ValueError(f"{image['file_name']} of {height}x{width} pixels")
    picture = CocoImage(str(image["file_name"]), (height, width))
    if annotations and "segments_info" in annotations[0]:
        parts = annotations[0]["segments_info"]
        segments = tuple((int(part["id"]), places[int(part["category_id"])]) for part in parts)
        strange = [number for number, _ in segments if not 0 <= number < 2**24]
        if strange:
            raise ValueError(f"segment {strange[0]} of {image['file_name']}, not within 0 to {2**24 - 1}")
        return replace(picture, segments=(str(annotations[0]["file_name"]), segments))
    found = ((places[int(one["category_id"])], _segmentation(one.get("segmentation"))) for one in annotations)
    return replace(picture, shapes=tuple(found))


def _segmentation(value: Any) -> Segmentation:
    """Return polygons and run lengths as arrays, which take an eighth of the memory of lists."""
    if isinstance(value, dict):
        height, width = value["size"]
        counts = value["counts"]
        packed = counts.encode("ascii") if isinstance(counts, str) else np.array(counts, np.int64)
        return RunLengths((int(height), int(width)), packed)
    return tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in value or () if len(polygon) >= 6)
