"""Evaluation of a classifier on labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from xseg.data.loading.dataset import RecordLoader
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.metrics.metric import confusion_matrix
from xseg.metrics.scores import TOP, ClassificationScores
from xseg.models.classifier import XceptionClassifier


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified image.

    Args:
        index: position in the split.
        target: class of the image.
        predicted: class with the highest probability.
        probability: probability of the predicted class, 0 to 1.
    """

    index: int
    target: int
    predicted: int
    probability: float


def evaluate_classifier(
    model: XceptionClassifier,
    batches: RecordLoader,
    *,
    device: torch.device,
    shown: int = 12,
    show: ShowProgress = NO_PROGRESS,
) -> tuple[ClassificationScores, tuple[Mistake, ...]]:
    """Evaluate a classifier.

    Args:
        model: classifier.
        batches: loader of a split; see `ClassificationDataset`.
        device: device of the classifier.
        shown: number of mistakes to return.
        show: progress display.

    Returns:
        The scores, and the most confident mistakes, the most confident first.
    """
    classes = model.config.classes
    model = model.to(device, torch.float32).eval()
    confusion, mistakes = np.zeros((classes, classes), np.int64), list[Mistake]()
    loss = found = 0.0
    with show("score", len(batches), unit="batches") as progress:
        for batch in batches:
            target = batch["target"]
            with torch.inference_mode():
                logits = model(batch["image"].to(device)).float().cpu()
            best = logits.topk(min(TOP, classes)).indices
            loss += float(F.cross_entropy(logits, target, reduction="sum"))
            found += float((best == target[:, None]).any(1).sum())
            confusion += confusion_matrix(target.numpy(), best[:, 0].numpy(), classes=classes, ignore_index=-1)
            probabilities = logits.softmax(1).gather(1, best[:, :1])[:, 0]
            for place in (best[:, 0] != target).nonzero().flatten().tolist():
                index, right, wrong = (int(values[place]) for values in (batch["index"], target, best[:, 0]))
                mistakes.append(Mistake(index, right, wrong, float(probabilities[place])))
            progress.advance()
    total = max(1, int(confusion.sum()))
    scores = ClassificationScores(loss / total, found / total, tuple(map(tuple, confusion.tolist())))
    return scores, tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)[:shown])
