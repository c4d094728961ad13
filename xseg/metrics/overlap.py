"""Scores from a confusion matrix, in Python's integers, which neither overflow nor round."""

from __future__ import annotations

from typing import ClassVar

from xseg.metrics.metric import Counts, Metric, ratio


def margins(confusion: Counts) -> list[tuple[int, int, int]]:
    """Return each class's numbers of right, labelled and predicted pixels, from a confusion matrix (K, K)."""
    rows = confusion.tolist()
    pairs = enumerate(zip(rows, zip(*rows, strict=True), strict=True))
    return [(row[index], sum(row), sum(column)) for index, (row, column) in pairs]


def outcomes(confusion: Counts) -> list[dict[str, int]]:
    """Return each class's numbers of true and false positives (tp, fp) and negatives (fn, tn), in pixels."""
    total = int(confusion.sum())
    return [
        {"tp": right, "fp": predicted - right, "fn": labelled - right, "tn": total - labelled - predicted + right}
        for right, labelled, predicted in margins(confusion)
    ]


def ious(confusion: Counts) -> list[float | None]:
    """Return the intersection over union of each class; None if it is neither labelled nor predicted."""
    return [ratio(right, labelled + predicted - right) for right, labelled, predicted in margins(confusion)]


class Iou(Metric):
    """Intersection over union; None for a class that is neither labelled nor predicted."""

    name, title, overall_name, overall_title = "iou", "IoU", "miou", "mIoU"

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the IoU of each class."""
        return ious(counts)


class Recall(Metric):
    """Share of a class's labelled pixels that are predicted correctly; None for a class without labels."""

    name, overall_title, validated = "recall", "mean accuracy", False
    overall_name: ClassVar[str | None] = "mean_accuracy"

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the recall of each class."""
        return [ratio(right, labelled) for right, labelled, _ in margins(counts)]


class Precision(Metric):
    """Share of the pixels predicted as a class that are correct; None for a class without predictions."""

    name, validated = "precision", False
    overall_name: ClassVar[str | None] = None

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the precision of each class."""
        return [ratio(right, predicted) for right, _, predicted in margins(counts)]


class Specificity(Metric):
    """Share of other classes' labelled pixels that are not predicted as a class.

    It is None if all pixels are labelled as the class, or if the class is neither labelled nor predicted.
    """

    name, validated = "specificity", False
    overall_name: ClassVar[str | None] = None

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the specificity of each class."""
        found = outcomes(counts)
        return [ratio(n["tn"], n["tn"] + n["fp"]) if n["tp"] + n["fp"] + n["fn"] else None for n in found]


class Dice(Metric):
    """Dice coefficient, which equals F1; None for a class that is neither labelled nor predicted."""

    name, title, overall_title, validated = "dice", "Dice", "mean Dice", False
    overall_name: ClassVar[str | None] = "mean_dice"

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the Dice coefficient of each class."""
        return [ratio(2 * right, labelled + predicted) for right, labelled, predicted in margins(counts)]


class F1(Dice):
    """Harmonic mean of precision and recall: Dice by its name in detection, for programs that read metrics.json."""

    name, title, shown = "f1", "F1", False
    overall_name: ClassVar[str | None] = None


class PixelAccuracy(Metric):
    """Share of labelled pixels that are predicted correctly."""

    name, overall_title, validated = "pixel_accuracy", "pixel accuracy", False

    def overall(self, counts: Counts) -> float | None:
        """Return the share."""
        pixels = margins(counts)
        return ratio(sum(right for right, _, _ in pixels), sum(labelled for _, labelled, _ in pixels))


class FrequencyWeightedIou(Metric):
    """Mean IoU weighted by the share of labelled pixels."""

    name, overall_title, validated = "fwiou", "frequency-weighted IoU", False

    def overall(self, counts: Counts) -> float | None:
        """Return the weighted mean."""
        labelled = [pixels for _, pixels, _ in margins(counts)]
        weighted = sum((iou or 0.0) * pixels for iou, pixels in zip(ious(counts), labelled, strict=True))
        return ratio(weighted, sum(labelled))
