"""Generated images of ten shapes in clutter, for classification without download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from xseg.data.sample import Array, Record, Sample
from xseg.errors import ConfigError
from xseg.files.atomic import atomic_path
from xseg.labels.label_map import NO_LABEL, LabelMap
from xseg.types import PathArgument, Split

MIN_SIZE = 32  # pixels; in smaller images, shapes look alike
_FINE = 3  # factor by which shapes are drawn larger, for smooth edges
_SPLITS: tuple[Split, ...] = ("train", "val")
_MOST_TURN = np.pi / 6
_LEAST_CONTRAST = 60  # between the colours of shape and background, of 255


def _polygon(corners: int, radii: Sequence[float] = (1.0,)) -> Array:
    angles = np.arange(corners) * 2 * np.pi / corners
    lengths = np.resize(np.array(radii), corners)
    return np.stack([np.cos(angles) * lengths, np.sin(angles) * lengths], axis=1)


def _crescent() -> Array:
    angles = np.linspace(0.35 * np.pi, 1.65 * np.pi, 40)
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inner = np.stack([np.cos(angles[::-1]) * 0.72 + 0.38, np.sin(angles[::-1]) * 0.88], axis=1)
    return np.concatenate([outer, inner])


def _cross() -> Array:
    x, y = np.array([(1, -0.28), (1, 0.28), (0.28, 0.28)]).T
    return np.concatenate([np.stack(turned, axis=1) for turned in ((x, y), (-y, x), (-x, -y), (y, -x))])


def _ring() -> Array:
    angles = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([circle, 0.58 * circle[::-1]])


def _band(middle: Array, half: float) -> Array:
    """Return the outline of a wide line."""
    along = np.gradient(middle, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    return np.concatenate([middle + half * across, (middle - half * across)[::-1]])


def _spiral() -> Array:
    angles = np.linspace(0.6 * np.pi, 4.2 * np.pi, 90)
    return _band(np.stack([np.cos(angles), np.sin(angles)], axis=1) * (angles / angles[-1] * 0.9)[:, None], 0.13)


def _zigzag() -> Array:
    turns = np.array([(-1, 0.45), (-0.5, -0.45), (0, 0.45), (0.5, -0.45), (1, 0.45)])
    places = np.linspace(0, len(turns) - 1, 81)
    middle = np.stack([np.interp(places, np.arange(len(turns)), turns[:, axis]) for axis in (0, 1)], axis=1)
    return _band(middle, 0.16)


SHAPES: dict[str, Array] = {
    "arrow": np.array([(-1, -0.2), (0.2, -0.2), (0.2, -0.65), (1, 0), (0.2, 0.65), (0.2, 0.2), (-1, 0.2)]),
    "crescent": _crescent(),
    "cross": _cross(),
    "hexagon": _polygon(6),
    "ring": _ring(),
    "spiral": _spiral(),
    "square": _polygon(4),
    "star": _polygon(10, (1.0, 0.42)),
    "triangle": _polygon(3),
    "zigzag": _zigzag(),
}


def draw(shape: str, seed: int | Sequence[int], size: int) -> Array:
    """Draw a shape with random position, size, rotation and colour among lines and dots.

    Args:
        shape: one of `SHAPES`.
        seed: random seed; the same seed gives the same pixels.
        size: height and width in pixels, 32 or more.

    Returns:
        RGB image, (size, size, 3) uint8.

    Raises:
        ConfigError: if the shape is unknown or the size is too small.
    """
    if shape not in SHAPES or size < MIN_SIZE:
        raise ConfigError(f"{shape!r} of {size} pixels", expected=f"{', '.join(SHAPES)} of {MIN_SIZE} or more")
    rng = np.random.default_rng(seed)
    fine = _FINE * size
    ground = rng.integers(30, 226, 3)
    canvas = _ground(rng, fine, ground)
    color = _contrasting(rng, ground)
    radius = fine * rng.uniform(0.26, 0.40)
    place = rng.uniform(radius, fine - radius, 2)
    outline = _placed(SHAPES[shape], rng, radius, place)
    layer = np.empty_like(canvas)
    layer[:] = color
    if rng.random() < 0.25:  # stripes, so that the shape has more than one colour
        step = int(fine * rng.uniform(0.04, 0.09))
        for start in range(0, fine, 2 * step):
            layer[:, start : start + step] = _contrasting(rng, ground)
    mask = np.zeros((fine, fine), np.uint8)
    cv2.fillPoly(mask, [outline], 255)
    canvas = np.where(mask[..., None] > 0, layer, canvas)
    _scribble(canvas, rng, int(rng.integers(0, 2)))
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float64)
    image = image * rng.uniform(0.75, 1.2) + rng.normal(0, rng.uniform(2, 10), image.shape)
    photo: Array = np.clip(image, 0, 255).astype(np.uint8)
    return photo


def _ground(rng: np.random.Generator, fine: int, color: Array) -> Array:
    """Return a background with a gradient, lines and dots."""
    slope = np.linspace(0.7, 1.3, fine)[:, None, None]
    turned = np.rot90(np.broadcast_to(slope, (fine, fine, 1)), int(rng.integers(4)))
    canvas = np.clip(color * turned, 0, 255).astype(np.uint8)
    _scribble(canvas, rng, int(rng.integers(1, 5)))
    for _ in range(int(rng.integers(1, 5))):
        center = tuple(int(value) for value in rng.integers(0, fine, 2))
        shade = tuple(int(value) for value in rng.integers(20, 236, 3))
        cv2.circle(canvas, center, int(fine * rng.uniform(0.01, 0.05)), shade, -1)
    return canvas


def _scribble(canvas: Array, rng: np.random.Generator, count: int) -> None:
    fine = canvas.shape[0]
    for _ in range(count):
        ends = [tuple(int(value) for value in rng.integers(0, fine, 2)) for _ in range(2)]
        shade = tuple(int(value) for value in rng.integers(20, 236, 3))
        cv2.line(canvas, ends[0], ends[1], shade, max(1, int(fine * rng.uniform(0.006, 0.025))))


def _contrasting(rng: np.random.Generator, ground: Array) -> Array:
    """Return a colour that differs from the background."""
    while True:
        color: Array = rng.integers(20, 236, 3)
        if np.abs(color - ground).max() >= _LEAST_CONTRAST:
            return color


def _placed(outline: Array, rng: np.random.Generator, radius: float, place: Array) -> Array:
    """Rotate, stretch and move an outline, and return integer pixel positions."""
    angle = rng.uniform(-_MOST_TURN, _MOST_TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretched = outline * np.array([1.0, rng.uniform(0.75, 1.0)]) * radius
    points: Array = np.round(stretched @ turn.T + place).astype(np.int32)
    return points


@dataclass(frozen=True)
class DrawnClasses:
    """A data set of shapes that are drawn when they are read.

    Args:
        counts: number of training and validation images, over all classes.
        size: height and width in pixels.
        classes: names from `SHAPES`, in alternating order.
        seed: random seed of the images.
        channels: number of colour channels, always 3.
    """

    counts: tuple[int, int]
    size: int
    classes: tuple[str, ...] = tuple(SHAPES)
    seed: int = 0
    channels: int = 3

    @property
    def labels(self) -> LabelMap:
        """Label map of the classes; no image is ignored."""
        return LabelMap(self.classes, ignore_index=NO_LABEL)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, with the paths that `write_drawings` would use."""
        names = [f"{split}/{self.classes[target]}/{index:06d}" for index, target in enumerate(self.targets(split))]
        return tuple(Record(name, Path(f"{name}.png"), None) for name in names)

    def targets(self, split: Split) -> tuple[int, ...]:
        """Return the class of each image in a split, in the order of `records`."""
        return tuple(index % len(self.classes) for index in range(self.counts[_SPLITS.index(split)]))

    def read(self, record: Record) -> Sample:
        """Draw an image; splits share no images."""
        split, shape, index = record.name.split("/")
        number = ("train", "val").index(split)
        return Sample(record.name, draw(shape, (self.seed, number, int(index)), self.size), None)


def write_drawings(root: PathArgument, drawn: DrawnClasses) -> None:
    """Write images to folders of classes: train/CLASS/INDEX.png and val/CLASS/INDEX.png.

    Args:
        root: folder to write, created if necessary.
        drawn: data set to write.
    """
    for split in _SPLITS:
        for record in drawn.records(split):
            with atomic_path(Path(root) / record.image) as temporary:
                Image.fromarray(drawn.read(record).image).save(temporary, compress_level=1)
