"""From class scores to probabilities, and from probabilities to labels: the only place where either is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError
from xseg.labels.label_map import LabelMap
from xseg.labels.threshold import parsed_threshold

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[Any]

DEFAULT = 0.5  # threshold of a class without another one


@dataclass(frozen=True)
class Decision:
    """Rule for the probabilities and labels of a model.

    Args:
        overlapping: whether a pixel may have several classes, with one sigmoid each, instead of the softmax of all.
        thresholds: lowest probability, 0 to 1, at which a pixel has a class: one per overlapping class, or one for the
            second of two classes. Empty for 0.5 for overlapping classes, otherwise for the class of highest
            probability, the first of equal ones.
    """

    overlapping: bool = False
    thresholds: tuple[float, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the label of a pixel is the class with the highest score."""
        return not self.overlapping and not self.thresholds

    def requested(self, texts: Sequence[str], labels: LabelMap) -> Decision:
        """Return the rule with requested thresholds.

        Args:
            texts: thresholds; see `threshold_texts`. A number without name is that of all classes without one; without
                any, this rule's thresholds stay.
            labels: classes of the model.

        Raises:
            ConfigError: if the model has three or more exclusive classes, or there is no class of a name.
        """
        if not texts:
            return self
        given = dict(map(parsed_threshold, texts))
        names = labels.names if self.overlapping else labels.names[1:]
        if not self.overlapping and len(names) != 1:
            got = f"threshold={' '.join(texts)} for {len(labels)} exclusive classes"
            raise ConfigError(got, expected="a model with two classes, or with overlapping classes")
        unknown = next((name for name in given if name and name not in names), None)
        if unknown is not None:
            got = f"threshold={unknown}={given[unknown]:g}"
            raise ConfigError(got, expected=f"one of the classes {', '.join(names)}")
        usual = self.thresholds or (DEFAULT,) * len(names)
        found = tuple(given.get(name, given.get("", value)) for name, value in zip(names, usual, strict=True))
        return replace(self, thresholds=found)

    def probabilities(self, logits: Floats) -> Floats:
        """Return the probabilities of logits (classes, ...), which are overwritten."""
        if self.overlapping:
            with np.errstate(over="ignore"):  # for very negative logits, 1 / inf
                return np.reciprocal(np.exp(-logits) + np.float32(1))
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        return logits

    def batch_probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of logits (N, classes, H, W)."""
        return logits.sigmoid() if self.overlapping else logits.softmax(dim=1)

    def limits(self, classes: int) -> Floats:
        """Return the thresholds of all classes that have one, or 0.5 for each."""
        return np.array(self.thresholds or (DEFAULT,) * (classes if self.overlapping else 1), np.float32)

    def labels(self, probabilities: Floats) -> Labels:
        """Return labels from probabilities (classes, H, W).

        Returns:
            Train ids, (H, W) uint8, or uint16 for more than 256 classes; for overlapping classes (H, W, classes) uint8,
            1 where a pixel has the class and 0 elsewhere.
        """
        if self.plain:
            return best_class(probabilities)
        limits = self.limits(len(probabilities))
        if not self.overlapping:
            return np.asarray(probabilities[1] >= limits[0], np.uint8)
        return np.ascontiguousarray(np.moveaxis(probabilities >= limits[:, None, None], 0, -1), np.uint8)

    def empty(self, classes: int, height: int, width: int) -> Labels:
        """Return an array for the labels of an image."""
        size = (height, width)
        return np.empty((*size, classes), np.uint8) if self.overlapping else np.empty(size, label_type(classes))


PLAIN = Decision()


def label_type(classes: int) -> Any:
    """Return the number type for train ids."""
    return np.uint8 if classes <= 256 else np.uint16


def best_class(scores: Floats) -> Labels:
    """Return the index of the highest score over the first axis, the first of equal ones; faster than numpy."""
    kind = label_type(len(scores))
    best = scores[0].copy()
    labels = np.zeros(best.shape, kind)
    better = np.empty(best.shape, np.bool_)
    for index in range(1, len(scores)):
        np.greater(scores[index], best, out=better)
        np.copyto(labels, kind(index), where=better)
        np.maximum(best, scores[index], out=best)
    return labels
