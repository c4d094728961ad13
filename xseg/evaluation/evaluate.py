"""Evaluation of a model on a labelled split."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xseg.data.sample import Reader, Sample
from xseg.errors import ConfigError, DataError, ShapeError
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.images.overlay import Pixels, displayable
from xseg.inference.prediction import Prediction
from xseg.inference.predictor import Predictor
from xseg.inference.prefetch import batches, prefetch
from xseg.labels.label_map import LabelMap
from xseg.metrics.metric import CONFUSION, Counts, Metric
from xseg.metrics.registry import MetricSource, create_metrics
from xseg.metrics.scores import ImageCounts, Scores, add_counts, compute_mask_scores, count_mask
from xseg.types import Split

EXAMPLES = 4  # best and worst images in the report, each
EXAMPLE_WIDTH = 512  # pixels; a report with eight examples takes about 1 MB
READ_THREADS = 2


@dataclass(frozen=True)
class ImageScore:
    """Scores of one image, from 0 to 1; undefined scores are None.

    Args:
        name: name of the record.
        width: width in pixels.
        height: height in pixels.
        seconds: time for the prediction.
        overall: scores over all classes by name, for this image.
        iou: IoU per class, in the order of train ids.
    """

    name: str
    width: int
    height: int
    seconds: float
    overall: dict[str, float | None]
    iou: tuple[float | None, ...]

    @property
    def miou(self) -> float | None:
        """Mean IoU over the classes that are labelled or predicted in this image."""
        return self.overall["miou"]


@dataclass(frozen=True, eq=False)
class Example:
    """One reduced image with its label and prediction.

    Args:
        score: scores of the image at full size.
        image: RGB image, (h, w, 3) uint8.
        label: train ids or `ignore_index`, (h, w), or (h, w, classes) if classes overlap.
        prediction: train ids, (h, w), or (h, w, classes).
    """

    score: ImageScore
    image: Pixels
    label: NDArray[Any]
    prediction: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of a model on a split.

    Args:
        split: train, val or test.
        labels: classes of the data set.
        metrics: measured metrics.
        scores: scores over all pixels of the split.
        images: scores of each image, in the order of the records.
        best: images with the highest mIoU, the highest first.
        worst: images with the lowest mIoU, the lowest first, without any of the best.
        seconds: wall-clock time of reading, prediction and scoring.
        counts: counts from which the scores are computed; those of several evaluations can be added.
    """

    split: Split
    labels: LabelMap
    metrics: tuple[Metric, ...]
    scores: Scores
    images: tuple[ImageScore, ...]
    best: tuple[Example, ...]
    worst: tuple[Example, ...]
    seconds: float
    counts: ImageCounts


def evaluate(
    predictor: Predictor,
    reader: Reader,
    split: Split,
    *,
    scales: Sequence[float] | None = None,
    flip: bool | None = None,
    rotations: bool | None = None,
    metrics: Sequence[MetricSource] = (),
    show: ShowProgress = NO_PROGRESS,
) -> Evaluation:
    """Evaluate a model on all images of a split.

    Args:
        predictor: predictor of the model.
        reader: reader of the data set, which must have the model's classes.
        split: train, val or test.
        scales: scales to average over; None for the predictor's own.
        flip: whether to average with mirror images too; None for the predictor's own setting.
        rotations: whether to average over quarter turns too; None for the predictor's own setting.
        metrics: further metrics besides the registered ones: class paths, classes or objects.
        show: progress display.

    Returns:
        The results.

    Raises:
        ConfigError: if the classes of model and data set differ, or a metric is not valid.
        DataError: if an image or a label cannot be read, or an image has no label, as scores of the other images are
            not scores of the split.
        ShapeError: if the images do not have the model's number of channels.
    """
    _check_fit(predictor, reader)
    if (scales, flip, rotations) != (None, None, None):
        predictor = predictor.with_averaging(scales=scales, flip=flip, rotations=rotations)
    start = time.perf_counter()
    labels = replace(reader.labels, background=predictor.labels.background)
    classes = 2 if labels.overlapping else len(labels)
    measured = create_metrics(metrics, classes=classes, ignore_index=labels.ignore_index)
    shape = (len(labels),) * labels.overlapping + (classes, classes)
    counts: dict[str, Counts] = {CONFUSION: np.zeros(shape, np.int64)}
    images: list[ImageScore] = []
    best: list[Example] = []
    worst: list[Example] = []
    pairs = _predictions(predictor, reader, split, any(metric.needs_probabilities for metric in measured))
    with show(f"evaluate {split}", len(reader.records(split))) as progress:
        for image_counts, example in prefetch(lambda pair: _score(*pair, labels, measured), pairs, prompt=True):
            counts = add_counts(counts, image_counts)
            images.append(example.score)
            if example.score.miou is not None:
                best = sorted([*best, example], key=_miou, reverse=True)[:EXAMPLES]
                worst = sorted([*worst, example], key=_miou)[:EXAMPLES]
            progress.advance()
    best = best[: (len(images) + 1) // 2]  # with few images, no image is both
    others = tuple(example for example in worst if example not in best)
    scores, seconds = compute_mask_scores(measured, counts), time.perf_counter() - start
    return Evaluation(split, labels, measured, scores, tuple(images), tuple(best), others, seconds, counts)


def _miou(example: Example) -> float:
    return example.score.miou or 0.0


def _check_fit(predictor: Predictor, reader: Reader) -> None:
    model, data = predictor.labels.names, reader.labels.names
    if model != data:
        differing = [f"{i}: {a} / {b}" for i, (a, b) in enumerate(zip(model, data, strict=False)) if a != b]
        detail = ", ".join(differing[:3]) or "one has further classes"
        raise ConfigError(
            f"the model has {len(model)} classes and the data set {len(data)} (model / data: {detail})",
            expected="the same names in the same order",
        )
    if predictor.labels.overlapping != reader.labels.overlapping:
        kind, wanted = ("overlapping" if one.labels.overlapping else "exclusive" for one in (reader, predictor))
        remedy = "see data.layout.labels.overlapping"
        raise ConfigError(f"a data set of {kind} classes", expected=f"{wanted} ones, as the model has", remedy=remedy)
    if predictor.normalization.channels != reader.channels:
        raise ShapeError(
            f"the data set's images have {reader.channels} channels",
            expected=f"{predictor.normalization.channels}, as the model requires",
        )


def _predictions(
    predictor: Predictor, reader: Reader, split: Split, probabilities: bool
) -> Iterator[tuple[Sample, Prediction]]:
    """Yield every sample with its prediction, while reading the next samples."""
    size = predictor.options.batch_size
    samples = prefetch(reader.read, reader.records(split), threads=READ_THREADS, depth=max(4, 2 * size))
    for chunk in batches(samples, size):
        predictions = predictor.batch([sample.image for sample in chunk], probabilities=probabilities)
        yield from zip(chunk, predictions, strict=True)


def _score(
    sample: Sample, prediction: Prediction, labels: LabelMap, metrics: Sequence[Metric]
) -> tuple[dict[str, Counts], Example]:
    if sample.mask is None:
        raise DataError(f"{sample.name} has no label", expected="a labelled split")
    counts = count_mask(
        metrics,
        sample.mask,
        prediction.mask,
        classes=len(labels),
        ignore_index=labels.ignore_index,
        probabilities=prediction.probabilities,
    )
    scores = compute_mask_scores(metrics, counts)
    height, width = sample.mask.shape[:2]
    score = ImageScore(sample.name, width, height, prediction.seconds, scores.overall, scores.per_class["iou"])
    return counts, _example(score, sample.image, sample.mask, prediction.mask)


def _example(score: ImageScore, image: NDArray[Any], label: NDArray[Any], prediction: NDArray[Any]) -> Example:
    picture: Pixels = displayable(image)
    if score.width > EXAMPLE_WIDTH:
        size = (EXAMPLE_WIDTH, max(1, round(score.height * EXAMPLE_WIDTH / score.width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        label, prediction = (
            cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).reshape(*size[::-1], *mask.shape[2:])
            for mask in (label, prediction)
        )
    return Example(score, picture, label, prediction)
