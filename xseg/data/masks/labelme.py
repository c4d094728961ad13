"""LabelMe's JSON files: one per image, with its shapes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from xseg.data.masks.numbers import empty_label, mask_of, raw_id_of
from xseg.data.sample import Array, Record
from xseg.errors import DataError
from xseg.images.quiet import pixel_limit
from xseg.images.reading import image_size
from xseg.labels.label_map import LabelMap

IGNORED = "__ignore__"
"""LabelMe's own label for ignored pixels."""
_AREAS = ("polygon", "rectangle", "circle", "mask")


@dataclass(frozen=True)
class LabelMeShapes:
    """Draws the shapes of an image in the order of the file, like LabelMe; later shapes are on top.

    Args:
        labels: classes; the label of a shape is the class with the same name, and "__ignore__" is ignored.
        background: class of the pixels that no shape covers; they are ignored if no class has this name.

    Source: LabelMe, labelme/utils/shape.py and examples/semantic_segmentation/labelme2voc.py.
    """

    labels: LabelMap
    background: str = ""

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's shapes, (H, W) uint8 or uint16."""
        path = mask_of(record)
        content = load_labelme(path)
        size = _size_of(content, path) or image_size(record.image)
        numbers = empty_label(self.labels, self.background, size)
        for place, shape in enumerate(content["shapes"]):
            label = str(shape["label"])
            raw_id = self.labels.ignore_index if label == IGNORED else raw_id_of(self.labels, label, path)
            try:
                numbers[shape_pixels(shape, size)] = raw_id
            except (ValueError, KeyError, TypeError, OSError, OverflowError) as error:
                raise DataError(f"{path}, shape {place} ({label}): {error}", expected=f"one of {_AREAS}") from error
        return numbers


def _size_of(content: dict[str, Any], path: Path) -> tuple[int, int] | None:
    """Return height and width from a LabelMe file after checking them; None if it does not contain them."""
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if not height or not width:
        return None
    whole = type(height) is type(width) is int  # true is an int, too
    if not whole or min(height, width) < 0 or height * width > pixel_limit():
        raise DataError(f"{path} states an image of {height}x{width}", expected="height and width in pixels")
    return height, width


def shape_pixels(shape: dict[str, Any], size: tuple[int, int]) -> Array:
    """Return the pixels of a shape, (H, W) bool, drawn like LabelMe.

    Args:
        shape: shape_type, points with x and y, and for a mask its PNG in base 64.
        size: height and width of the image.

    Raises:
        ValueError: if the shape has no area, or too few points.
    """
    kind = shape.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind == "mask":
        return _pasted(shape, points, size)
    picture = Image.new("1", (size[1], size[0]))
    draw = ImageDraw.Draw(picture)
    if kind == "polygon" and len(points) >= 3:
        draw.polygon(points, outline=1, fill=1)
    elif kind == "rectangle" and len(points) in (2, 4):
        xs, ys = zip(*points, strict=True)
        draw.rectangle([min(xs), min(ys), max(xs), max(ys)], outline=1, fill=1)
    elif kind == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
    else:
        raise ValueError(f"a {kind} of {len(points)} points has no area")
    return np.asarray(picture)


def _pasted(shape: dict[str, Any], points: Sequence[tuple[float, float]], size: tuple[int, int]) -> Array:
    """Return the pixels of a shape from a PNG of its bounding box."""
    with Image.open(BytesIO(base64.b64decode(shape["mask"], validate=True))) as picture:
        part = np.asarray(picture.convert("1"))
    pixels = np.zeros(size, bool)
    left, top = (round(value) for value in points[0])
    target = pixels[top : top + part.shape[0], left : left + part.shape[1]]
    if min(left, top) < 0 or target.shape != part.shape:
        raise ValueError(f"a mask of {part.shape} at row {top}, column {left} leaves the image of {size}")
    target[:] = part
    return pixels


def load_labelme(path: Path) -> dict[str, Any]:
    """Return the content of a LabelMe file.

    Raises:
        DataError: if it is missing, not JSON, or has no shapes.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        fault = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else f"is not JSON ({error})"
        raise DataError(f"{path} {fault}", expected="a LabelMe file") from error
    shapes = content.get("shapes") if isinstance(content, dict) else None
    complete = isinstance(shapes, list) and all(
        isinstance(one, dict) and {"label", "points"} <= {*one} for one in shapes
    )
    if not complete:
        raise DataError(f"{path} is not a LabelMe file", expected="shapes, each with label and points")
    return dict(content)


def labels_in(paths: Iterable[Path], threads: int) -> tuple[str, ...]:
    """Return the sorted labels in LabelMe files, except "__ignore__".

    Raises:
        DataError: if a file cannot be read.
    """
    with ThreadPoolExecutor(threads) as pool:
        found = {str(shape["label"]) for content in pool.map(load_labelme, paths) for shape in content["shapes"]}
    return tuple(sorted(found - {IGNORED}))
