"""Parts of a generated street: a canvas that paints pixels and labels together, and the objects on it.

A pinhole camera sees the street. A point on it has a depth `near`, 1 at the bottom of the image and 0 at the horizon,
and a side `across`, -1 and 1 at the kerbs; sizes shrink with `near`. Lengths are in units of the image height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from xseg.data.sample import Array

Color: TypeAlias = tuple[float, float, float]  # RGB, 0 to 255
Points: TypeAlias = list[tuple[float, float]]  # x, y in pixels

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PEDESTRIAN, SIGN = range(8)
_SHIFT = 4  # OpenCV draws at 1/16 pixel


def shade(color: Color, factor: float, haze: float = 0.0, air: Color = (200, 208, 220)) -> Color:
    """Return a lighter or darker colour, mixed with the colour of the air by `haze`, 0 to 1."""
    r, g, b = (min(255.0, value * factor) * (1 - haze) + a * haze for value, a in zip(color, air, strict=True))
    return r, g, b


class Canvas:
    """An image and its mask, painted together.

    Args:
        height: height in pixels.
        width: width in pixels.

    Attributes:
        image: RGB image, (H, W, 3) uint8.
        mask: train ids, (H, W) uint8; initially sky.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.image = np.zeros((height, width, 3), np.uint8)
        self.mask = np.zeros((height, width), np.uint8)

    def polygons(self, shapes: list[Points] | Array, color: Color, label: int | None = None) -> None:
        """Fill polygons with equal numbers of corners, (N, K, 2) x and y in pixels; without label only in the image."""
        fixed = list((np.asarray(shapes, np.float64) * (1 << _SHIFT)).round().astype(np.int32))
        cv2.fillPoly(self.image, fixed, color, shift=_SHIFT)
        if label is not None:
            cv2.fillPoly(self.mask, fixed, label, shift=_SHIFT)

    def rectangle(self, x: float, y: float, w: float, h: float, color: Color, label: int | None = None) -> None:
        """Fill the rectangle with upper left corner (x, y)."""
        self.polygons([[(x, y), (x + w, y), (x + w, y + h), (x, y + h)]], color, label)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color, label: int | None = None) -> None:
        """Fill the ellipse around (x, y)."""
        center = (round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT)))
        axes = (max(1, round(rx * (1 << _SHIFT))), max(1, round(ry * (1 << _SHIFT))))
        cv2.ellipse(self.image, center, axes, 0, 0, 360, color, -1, shift=_SHIFT)
        if label is not None:
            cv2.ellipse(self.mask, center, axes, 0, 0, 360, label, -1, shift=_SHIFT)


@dataclass(frozen=True)
class Camera:
    """Projection of points on the street to the image.

    Args:
        height: height of the image in pixels.
        horizon: y of the horizon in pixels.
        vanishing: x of the vanishing point in pixels.
        bottom: x of the middle of the street at the bottom in pixels.
        road: half the width of the road at the bottom, in units of the image height.
    """

    height: float
    horizon: float
    vanishing: float
    bottom: float
    road: float

    def x(self, across: float, near: float) -> float:
        """Return the x of a point in pixels."""
        return self.vanishing + (self.bottom - self.vanishing + across * self.road * self.height) * near

    def y(self, near: float, above: float = 0.0) -> float:
        """Return the y of a point `above` the ground in pixels."""
        return self.horizon + (self.height - self.horizon) * near - above * self.height * near

    def quad(self, left: tuple[float, float], right: tuple[float, float], far: float, close: float) -> Points:
        """Return a strip of ground between two sides, each (far, close), from one depth to another."""
        return [
            (self.x(left[0], far), self.y(far)),
            (self.x(right[0], far), self.y(far)),
            (self.x(right[1], close), self.y(close)),
            (self.x(left[1], close), self.y(close)),
        ]


def wall(camera: Camera, across: float, depths: tuple[float, float], heights: tuple[float, float]) -> Points:
    """Return a part of the wall along the street, between two depths and two heights above the ground."""
    (far, close), (low, high) = depths, heights
    return [
        (camera.x(across, far), camera.y(far, high)),
        (camera.x(across, close), camera.y(close, high)),
        (camera.x(across, close), camera.y(close, low)),
        (camera.x(across, far), camera.y(far, low)),
    ]


def windows(camera: Camera, across: float, depths: tuple[float, float], height: float, grid: tuple[int, int]) -> Array:
    """Return the windows of a wall, (N, 4, 2) x and y: `grid` columns and floors, evenly spaced in the world."""
    columns, floors = grid
    far, close = 1 / depths[0], 1 / depths[1]  # distances, in which the spacing is even
    shares = (np.arange(columns)[:, None] + (0.25, 0.75)) / columns
    near = 1 / (far + (close - far) * shares)
    levels = height * (np.arange(floors)[:, None] + (0.3, 0.75)) / floors
    ground = camera.horizon + (camera.height - camera.horizon) * near
    x = camera.vanishing + (camera.x(across, 1.0) - camera.vanishing) * near
    corners = ((0, 1), (1, 1), (1, 0), (0, 0))  # far or close end, lower or upper edge
    shapes = np.empty((columns, floors, 4, 2))
    for corner, (end, edge) in enumerate(corners):
        shapes[:, :, corner, 0] = x[:, None, end]
        shapes[:, :, corner, 1] = ground[:, None, end] - camera.height * near[:, None, end] * levels[None, :, edge]
    return shapes.reshape(-1, 4, 2)


def building(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, side: int, depths: tuple[float, float], color: Color
) -> None:
    """Paint a house beside the street, with its walls towards the camera and towards the street."""
    height, across = rng.uniform(0.55, 1.25), side * 1.62
    haze = 0.35 * (1 - depths[1])
    front_x, outer = camera.x(across, depths[1]), camera.x(across + side * 2.5, depths[1])
    top, base = camera.y(depths[1], height), camera.y(depths[1])
    canvas.polygons([wall(camera, across, depths, (0, height))], shade(color, 1.0, haze), BUILDING)
    front = [[(front_x, top), (outer, top), (outer, base), (front_x, base)]]
    canvas.polygons(front, shade(color, 0.72, haze), BUILDING)
    roof = [wall(camera, across, depths, (height, height * 1.05))]
    canvas.polygons(roof, shade(color, 0.5, haze), BUILDING)
    glass = (90.0, 110.0, 135.0) if rng.random() < 0.7 else (225.0, 205.0, 140.0)
    grid = (int(np.clip(7 * (1 / depths[0] - 1 / depths[1]), 2, 6)), int(rng.integers(3, 6)))
    canvas.polygons(windows(camera, across, depths, height, grid), shade(glass, 1.0, haze))


def tree(canvas: Canvas, camera: Camera, rng: np.random.Generator, across: float, near: float) -> None:
    """Paint a trunk and a crown of leaves."""
    unit = camera.height * near
    x, base, haze = camera.x(across, near), camera.y(near), 0.3 * (1 - near)
    height, radius = rng.uniform(0.30, 0.42) * unit, rng.uniform(0.15, 0.21) * unit
    trunk = max(1.5, 0.03 * unit)
    canvas.rectangle(x - trunk / 2, base - height, trunk, height, shade((96, 70, 48), 1.0, haze), TREE)
    green = (rng.uniform(45, 95), rng.uniform(100, 145), rng.uniform(35, 70))
    offsets = rng.uniform(-1, 1, (7, 2)) * 0.55 * radius
    for index, (dx, dy) in enumerate(offsets):
        light = 0.75 + 0.07 * index  # later leaves are brighter
        size = radius * (0.85 - 0.05 * index)
        lift = dy - 0.08 * index * radius
        canvas.ellipse(x + dx, base - height + lift - 0.4 * radius, size, size, shade(green, light, haze), TREE)


def car(canvas: Canvas, camera: Camera, rng: np.random.Generator, across: float, near: float, color: Color) -> None:
    """Paint the rear or front of a car, with its shadow on the road."""
    unit = camera.height * near
    x, base, haze = camera.x(across, near), camera.y(near), 0.25 * (1 - near)
    w, h = rng.uniform(0.40, 0.48) * unit, rng.uniform(0.28, 0.36) * unit
    canvas.ellipse(x, base, 0.6 * w, 0.1 * h, (38, 38, 42))
    for wheel in (-0.36, 0.36):
        canvas.rectangle(x + (wheel - 0.1) * w, base - 0.25 * h, 0.2 * w, 0.25 * h, (24, 24, 26), CAR)
    cabin = [(x - 0.40 * w, base - 0.55 * h), (x - 0.29 * w, base - h), (x + 0.29 * w, base - h)]
    cabin.append((x + 0.40 * w, base - 0.55 * h))
    canvas.polygons([cabin], shade(color, 0.85, haze), CAR)
    canvas.rectangle(x - 0.5 * w, base - 0.58 * h, w, 0.44 * h, shade(color, 1.0, haze), CAR)
    glass = [(x + dx * w, base - dy * h) for dx, dy in ((-0.33, 0.6), (-0.25, 0.93), (0.25, 0.93), (0.33, 0.6))]
    canvas.polygons([glass], shade((70, 88, 104), rng.uniform(0.8, 1.5), haze))
    lamp = (205.0, 45.0, 40.0) if across > 0 else (250.0, 240.0, 200.0)
    for dx in (-0.40, 0.40):
        canvas.ellipse(x + dx * w, base - 0.44 * h, 0.07 * w, 0.06 * h, lamp)
    canvas.rectangle(x - 0.14 * w, base - 0.3 * h, 0.28 * w, 0.1 * h, (228, 228, 222))


def pedestrian(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, across: float, near: float, coat: Color
) -> None:
    """Paint a person with legs, coat and head."""
    unit = camera.height * near
    x, base = camera.x(across, near), camera.y(near)
    h = rng.uniform(0.36, 0.44) * unit
    w = h * rng.uniform(0.30, 0.36)
    step, legs = rng.uniform(0.1, 0.3) * w, shade((58, 62, 84), rng.uniform(0.6, 1.4))
    for foot in (-step, step):
        leg = [(x - 0.24 * w, base - 0.48 * h), (x + 0.24 * w, base - 0.48 * h), (x + foot + 0.2 * w, base)]
        canvas.polygons([[*leg, (x + foot - 0.2 * w, base)]], legs, PEDESTRIAN)
    body = [(x - 0.38 * w, base - 0.80 * h), (x + 0.38 * w, base - 0.80 * h), (x + 0.5 * w, base - 0.40 * h)]
    canvas.polygons([[*body, (x - 0.5 * w, base - 0.40 * h)]], coat, PEDESTRIAN)
    skin = shade((214, 168, 138), rng.uniform(0.5, 1.1))
    canvas.ellipse(x, base - 0.89 * h, 0.10 * h, 0.11 * h, skin, PEDESTRIAN)


def sign(canvas: Canvas, camera: Camera, rng: np.random.Generator, across: float, near: float) -> None:
    """Paint a traffic sign on its pole: round, triangular or rectangular."""
    unit = camera.height * near
    x, base = camera.x(across, near), camera.y(near)
    h, radius, pole = rng.uniform(0.50, 0.62) * unit, rng.uniform(0.085, 0.11) * unit, max(3.0, 0.03 * unit)
    canvas.rectangle(x - pole / 2, base - h, pole, h, (150, 152, 156), SIGN)
    kind, top = int(rng.integers(3)), base - h - 0.4 * radius
    if kind == 0:
        canvas.ellipse(x, top, radius, radius, (206, 36, 40), SIGN)
        canvas.ellipse(x, top, 0.68 * radius, 0.68 * radius, (240, 240, 238))
    elif kind == 1:
        for size, color in ((1.25, (206, 36, 40)), (0.75, (244, 214, 60))):
            corner = [(x, top - size * radius), (x + size * radius, top + 0.8 * size * radius)]
            canvas.polygons([[*corner, (x - size * radius, top + 0.8 * size * radius)]], color, SIGN)
    else:
        canvas.rectangle(x - radius, top - radius, 2 * radius, 1.8 * radius, (36, 84, 170), SIGN)
        canvas.rectangle(x - 0.5 * radius, top - 0.6 * radius, radius, 0.35 * radius, (240, 240, 240))
