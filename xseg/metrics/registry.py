"""Registry of segmentation metrics. A new metric is a module here and its class below."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias

from xseg.errors import ConfigError
from xseg.files.objects import is_class_path, load_object
from xseg.metrics.boundary import BoundaryIou
from xseg.metrics.metric import Metric
from xseg.metrics.overlap import F1, Dice, FrequencyWeightedIou, Iou, PixelAccuracy, Precision, Recall, Specificity
from xseg.metrics.ranking import Auc, AveragePrecision

METRICS: dict[str, type[Metric]] = {
    kind.name: kind
    for kind in (
        Iou, Recall, Precision, Specificity, Dice, F1, PixelAccuracy, FrequencyWeightedIou, BoundaryIou, Auc,
        AveragePrecision,
    )
}  # fmt: skip
MetricSource: TypeAlias = str | type[Metric] | Metric
# other keys of metrics.json and metrics.csv
_TAKEN = ("classes", "confusion", "evaluated", "pixels", "loss", "tp", "fp", "fn", "tn")


def create_metrics(
    sources: Sequence[MetricSource], *, classes: int, ignore_index: int, names: Sequence[str] | None = None
) -> tuple[Metric, ...]:
    """Create registered and further metrics.

    Args:
        sources: further metrics: names in the registry, class paths, classes or objects.
        classes: number of classes.
        ignore_index: label of pixels that are not counted.
        names: names of registered metrics that are always created; None for all that fit the number of classes.

    Raises:
        ConfigError: if a metric is unknown, not a metric, for two classes only, or has the name of another one.
    """
    fitting = [name for name, kind in METRICS.items() if classes == 2 or not kind.two_classes]
    kinds: list[type[Metric] | Metric] = [METRICS[name] for name in (fitting if names is None else names)]
    kinds += [found for found in map(_find, sources) if found not in kinds]
    made: dict[str, Metric] = {}
    taken = {*_TAKEN, *METRICS, *(kind.overall_key() for kind in METRICS.values())} - {None}
    for kind in kinds:
        try:
            metric = kind if isinstance(kind, Metric) else kind(classes=classes, ignore_index=ignore_index)
        except TypeError as error:
            raise ConfigError(f"metric {kind}: {error}", expected="classes and ignore_index as keywords") from error
        if metric.two_classes and classes != 2:
            raise ConfigError(f"metric {metric.name} with {classes} classes", expected="two classes")
        own = type(metric) not in METRICS.values()
        if metric.name in made or (own and {metric.name, metric.overall_key()} & taken):
            raise ConfigError(f"metric {metric.name!r} twice", expected="a unique name")
        made[metric.name] = metric
    return tuple(made.values())


def monitored_metrics(monitor: str | None) -> tuple[str, ...]:
    """Return the registered metric of a score of a training: "val/NAME" or "val/NAME/CLASS"; empty if it is none."""
    parts = (monitor or "").split("/", maxsplit=2)
    if len(parts) == 1 or parts[0] != "val":
        return ()
    found = [name for name, kind in METRICS.items() if parts[1] in ((name,) if parts[2:] else (kind.overall_key(),))]
    return tuple(found)


def _find(source: MetricSource) -> type[Metric] | Metric:
    found: Any = source
    if isinstance(source, str):
        if source not in METRICS and not is_class_path(source):
            raise ConfigError(f"metric {source!r}", expected=f"a class path, or one of {', '.join(METRICS)}")
        found = METRICS[source] if source in METRICS else load_object(source)
    kind = found if inspect.isclass(found) else type(found)
    if not (issubclass(kind, Metric) and isinstance(getattr(kind, "name", None), str)):
        raise ConfigError(f"metric {source!r}", expected="a subclass of xseg.metrics.metric.Metric with a name")
    if not (kind.has_classes() or kind.has_overall()):
        raise ConfigError(f"metric {kind.name} has no scores", expected="per_class, overall or both")
    return found  # type: ignore[no-any-return]
