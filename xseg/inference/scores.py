"""Class scores at the size of the image, computed by strips to avoid the map of all classes at full size.

Scores are resized bilinearly with aligned corners, as in `xseg.nn.resize`. If the four coarse pixels of a cell have the
same best class, so have all resized pixels in it, because they are weighted means of the four; only other cells are
computed. Up to the rounding of exact ties, the result equals resizing all scores and taking the best class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xseg.labels.decision import PLAIN, Decision, Floats, Labels, best_class

STRIP_VALUES = 1 << 20  # floats processed at once, to fit into the processor's cache


@dataclass(frozen=True, eq=False)
class Axis:
    """Positions of the pixels of an image axis between coarse pixels.

    Args:
        low: indices of the coarse pixels before, int64.
        high: indices of the coarse pixels after; `low` at the end.
        weight: weights of the pixels after, 0 to 1, float32.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    weight: Floats

    @classmethod
    def between(cls, coarse: int, grid: int, view: int, size: int, mirrored: bool = False) -> Axis:
        """Return the positions for an axis of an image of `size` pixels.

        The `coarse` pixels span `grid` pixels of the view with padding, and the `view` pixels without padding span the
        image, both with aligned corners.
        """
        # In float32, so that the positions equal torch's.
        step = np.float32(coarse - 1) / np.float32(max(grid - 1, 1))
        if view != size:
            step = np.float32(step * np.float32(view - 1) / np.float32(max(size - 1, 1)))
        index = np.arange(size, dtype=np.float32)
        place = step * (index[::-1] if mirrored else index)
        low = np.minimum(place.astype(np.int64), coarse - 1)
        weight = np.clip(place - low.astype(np.float32), 0.0, 1.0)
        return cls(low, np.minimum(low + 1, coarse - 1), weight)

    def __getitem__(self, part: slice) -> Axis:
        return Axis(self.low[part], self.high[part], self.weight[part])


@dataclass(frozen=True, eq=False)
class View:
    """Class scores of one view of an image.

    Args:
        logits: logits, (classes, h, w) float32, contiguous.
        grid: height and width of the view with padding, which the logits span with aligned corners.
        size: height and width of the view without padding, its top left part.
        mirrored: whether the rows and the columns of the view are in reverse order.
    """

    logits: Floats
    grid: tuple[int, int]
    size: tuple[int, int]
    mirrored: tuple[bool, bool] = (False, False)

    def axes(self, height: int, width: int) -> tuple[Axis, Axis]:
        """Return the positions of the rows and columns of an image."""
        rows, columns = zip(self.logits.shape[1:], self.grid, self.size, (height, width), self.mirrored, strict=True)
        return Axis.between(*rows), Axis.between(*columns)

    def strip(self, rows: Axis, columns: Axis) -> Floats:
        """Return the scores of some rows of the image, (classes, rows, columns)."""
        between = _lerp(self.logits[:, rows.low], self.logits[:, rows.high], rows.weight[:, None])
        return _lerp(between.take(columns.low, axis=2), between.take(columns.high, axis=2), columns.weight)


@dataclass(frozen=True, eq=False)
class WholeImage:
    """Class scores of one image, with its size in pixels, averaged over one or more views with the same classes."""

    views: tuple[View, ...]
    height: int
    width: int
    decision: Decision = PLAIN

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.views[0].logits.shape[0])

    def labels(self) -> Labels:
        """Return the labels of every pixel; see `Decision.labels`."""
        if len(self.views) == 1 and self.decision.plain:
            return _best_classes(self.views[0], self.height, self.width)
        labels = self.decision.empty(self.classes, self.height, self.width)
        for part, mean in self._averaged():
            labels[part] = self.decision.labels(mean)
        return labels

    def probabilities(self) -> Floats:
        """Return the probabilities of all classes, (classes, H, W) float32."""
        result = np.empty((self.classes, self.height, self.width), np.float32)
        for part, mean in self._averaged():
            result[:, part] = mean
        return result

    def _averaged(self) -> Iterator[tuple[slice, Floats]]:
        """Yield the mean probabilities of the views strip by strip, (classes, rows, W).

        Source: TF DeepLab, `model.py`, `predict_labels_multi_scale`: the mean of the softmax of every view.
        """
        placed = [(view, *view.axes(self.height, self.width)) for view in self.views]
        step = max(1, STRIP_VALUES // (self.width * self.classes))
        for start in range(0, self.height, step):
            part = slice(start, min(start + step, self.height))
            strips = (self.decision.probabilities(view.strip(rows[part], columns)) for view, rows, columns in placed)
            total = next(strips)
            for strip in strips:
                total += strip
            total /= np.float32(len(placed))
            yield part, total


@dataclass(frozen=True, eq=False)
class Tiled:
    """Labels and, if requested, probabilities of an image computed by tiles, with the interface of `WholeImage`."""

    best: Labels
    averaged: Floats | None = None

    def labels(self) -> Labels:
        """Return the labels of every pixel."""
        return self.best

    def probabilities(self) -> Floats:
        """Return the probabilities of all classes; raise ValueError if they were not requested."""
        if self.averaged is None:
            raise ValueError("the probabilities of tiles were not kept")
        return self.averaged


def _lerp(low: Floats, high: Floats, weight: Floats) -> Floats:
    """Return low + (high - low) * weight; `high` is overwritten."""
    high -= low
    high *= weight
    high += low
    return high


def _best_classes(view: View, height: int, width: int) -> Labels:
    """Return the best class of every pixel of an image from a single view."""
    rows, columns = view.axes(height, width)
    best = best_class(view.logits)
    if best.shape == view.size == (height, width) and not any(view.mirrored):
        return best
    below, right = _next(best, 0), _next(best, 1)
    mixed = (best != below) | (best != right) | (best != _next(below, 1))
    labels: Labels = best[rows.low].take(columns.low, axis=1)
    flat = view.logits.reshape(len(view.logits), -1)
    step = max(1, STRIP_VALUES // width)  # limits the memory for positions of mixed pixels
    chunk = max(1, STRIP_VALUES // len(flat))
    for start in range(0, height, step):
        part = rows[start : start + step]
        down, across = np.nonzero(mixed[part.low].take(columns.low, axis=1))
        for first in range(0, len(down), chunk):
            i, j = down[first : first + chunk], across[first : first + chunk]
            labels[start + i, j] = best_class(_scores_at(flat, best.shape[1], part, columns, i, j))
    return labels


def _next(best: Labels, axis: int) -> Labels:
    """Return the lower (0) or right (1) neighbour of each pixel; the last pixels are their own neighbours."""
    last = best[-1:] if axis == 0 else best[:, -1:]
    return np.concatenate([best[1:] if axis == 0 else best[:, 1:], last], axis)


def _scores_at(
    flat: Floats, pitch: int, rows: Axis, columns: Axis, i: NDArray[np.int64], j: NDArray[np.int64]
) -> Floats:
    """Return the resized scores of single pixels (classes, n), with the same arithmetic as for strips."""
    above, below = rows.low[i] * pitch, rows.high[i] * pitch
    left, right = columns.low[j], columns.high[j]
    down, across = rows.weight[i], columns.weight[j]
    first = _lerp(flat.take(above + left, axis=1), flat.take(below + left, axis=1), down)
    second = _lerp(flat.take(above + right, axis=1), flat.take(below + right, axis=1), down)
    return _lerp(first, second, across)
