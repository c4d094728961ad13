"""Scores of overlapping classes, each of which is a problem of two classes: absent and present."""

from __future__ import annotations

from collections.abc import Sequence

from xseg.metrics.metric import Metric, mean
from xseg.metrics.scores import Scores


def combine_classes(metrics: Sequence[Metric], each: Sequence[Scores]) -> Scores:
    """Combine the scores of overlapping classes.

    Args:
        metrics: metrics from `create_metrics` with 2 classes.
        each: scores of each class, whose labels and predictions are 0 for absent and 1 for present.

    Returns:
        Per class, the scores of being present; over all classes, the mean of the defined ones.
    """
    names = [metric.name for metric in metrics if metric.has_classes()]
    per_class = {name: tuple(scores.per_class[name][1] for scores in each) for name in names}
    overall: dict[str, float | None] = {}
    for metric in metrics:
        key = metric.overall_key()
        if key is not None:
            overall[key] = mean(per_class.get(metric.name) or [scores.overall[key] for scores in each])
    pixels = tuple(scores.pixels[1] for scores in each)
    return Scores(overall, per_class, pixels, confusion=(), present=tuple(scores.outcomes[1] for scores in each))
