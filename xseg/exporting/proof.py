"""Proof that an exported file, and a converted network, compute what the model computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from xseg.errors import ConfigError
from xseg.exporting.format import Session
from xseg.exporting.options import GraphOptions
from xseg.images.normalization import Normalization
from xseg.labels.decision import PLAIN, Decision
from xseg.models.coarse import SMALLEST, CoarseNetwork
from xseg.types import Precision

SIZES = ((97, 129), (64, 80), (33, 50), (20, 31), (130, 67))  # odd, even, and smaller than the encoders allow
AGREEMENT = 0.999  # smallest share of equal labels
# Odd and even sides, because padding differs, and two sizes, because a tracer may fix one.
CONVERTED_SIZES = ((97, 129), (66, 100))
# Tolerance relative to the range of the logits: float32 rounding in another order; 8 bits of bfloat16 in 100 layers.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}


@dataclass(frozen=True)
class Case:
    """One comparison of a file with its model.

    Args:
        image: name of the image.
        size: rows and columns of the image.
        difference: largest difference, as a share of the range of the logits. Of labels, the difference of a pixel is
            how far the logit of its label lies below the best one; of probabilities, their difference.
        agreement: share of pixels with the same label.
    """

    image: str
    size: tuple[int, int]
    difference: float
    agreement: float


def test_images(options: GraphOptions, normalization: Normalization) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Give smooth and noisy images (H, W, C) of several sizes, or of the fixed one, as stored values."""
    generator = np.random.default_rng(0)
    for height, width in [options.size] * 2 if options.size else SIZES:
        rows, columns = np.arange(height)[:, None, None] / 9, np.arange(width)[None, :, None] / 7
        channel = np.arange(normalization.channels)
        waves = 0.5 + 0.4 * np.sin(rows * (1 + 0.3 * channel) + columns * (0.5 + 0.2 * channel) + channel)
        noisy = np.clip(waves + generator.normal(0, 0.1, waves.shape), 0, 1)
        yield "waves and noise", np.round(noisy * normalization.maximum).astype(np.float32)


@torch.inference_mode()
def prove(
    session: Session,
    model: nn.Module,
    normalization: Normalization,
    options: GraphOptions,
    images: Iterable[tuple[str, NDArray[np.float32]]] = (),
    *,
    decision: Decision = PLAIN,
) -> list[Case]:
    """Compare what was read from a file with the model itself, in float32.

    The model is on the CPU, in evaluation mode; `images` are names and stored values (H, W, C) of further images.

    Raises:
        ConfigError: if the file differs by more than rounding.
    """
    cases = []
    for name, image in [*test_images(options, normalization), *images]:
        logits = _reference(model, torch.from_numpy(image), normalization)
        outputs = session(graph_input(torch.from_numpy(image)[None], normalization, options))
        difference, agreement = _compared(outputs, logits, options, decision)
        cases.append(Case(name, (image.shape[0], image.shape[1]), difference, agreement))
        if not (difference <= TOLERANCES["float32"] and agreement >= AGREEMENT):
            raise ConfigError(
                f"the exported model differs from the model on {name} of {image.shape[0]}x{image.shape[1]} pixels: by "
                f"{difference:.2g} of the logits' range, {agreement:.2%} of the labels are equal",
                expected=f"{TOLERANCES['float32']:g} or less, and {AGREEMENT:.1%} or more",
                remedy="no file was written; try another --format",
            )
    return cases


def graph_input(images: Tensor, normalization: Normalization, options: GraphOptions) -> Tensor:
    """Turn stored values (N, H, W, C) float32 into the input of an exported graph."""
    if options.input == "uint8":
        images = images.round().to(torch.uint8)
    elif options.input == "unit":
        images = images / normalization.maximum
    return (images if options.layout == "nhwc" else images.permute(0, 3, 1, 2)).contiguous()


def _reference(model: nn.Module, image: Tensor, normalization: Normalization) -> Tensor:
    """Return the model's logits (classes, H, W) for stored values (H, W, C), without any part of the graph."""
    height, width = image.shape[:2]
    scaled = (image / normalization.maximum - torch.tensor(normalization.mean)) / torch.tensor(normalization.std)
    added = [0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height)]
    logits: Tensor = model(F.pad(scaled.permute(2, 0, 1)[None], added, mode="replicate"))[0]
    return logits[:, :height, :width]


def _compared(
    outputs: Sequence[Tensor], logits: Tensor, options: GraphOptions, decision: Decision
) -> tuple[float, float]:
    """Return difference and agreement of a file's outputs for one image."""
    scale = max(float(logits.max() - logits.min()), 1e-30)
    result, probabilities = outputs[0][0], decision.batch_probabilities(logits[None])[0]
    wanted_labels = _labels(logits if decision.plain else probabilities, decision)
    if options.result in ("logits", "probabilities"):
        if result.shape != logits.shape or not bool(result.isfinite().all()):
            return float("inf"), 0.0
        wanted, scale = (logits, scale) if options.result == "logits" else (probabilities, 1.0)
        decided = decision.plain or options.result == "probabilities"
        given = result if decided else decision.batch_probabilities(result[None])[0]
        labels, difference = _labels(given, decision), float((result - wanted).abs().max()) / scale
    else:
        labels = result.long()
        if labels.shape != wanted_labels.shape or int(labels.max()) >= (2 if decision.overlapping else len(logits)):
            return float("inf"), 0.0
        difference = float(_distance(logits, labels, decision).max()) / scale
        if options.result == "confidence":
            wanted = probabilities.gather(0, labels[None])[0]
            difference = max(difference, float((outputs[1][0] - wanted).abs().max()))
    return difference, float((labels == wanted_labels).float().mean())


def _labels(scores: Tensor, decision: Decision) -> Tensor:
    """Return labels from probabilities; without thresholds also from logits, which are more exact."""
    return torch.from_numpy(decision.labels(scores.numpy()).astype(np.int64))


def _distance(logits: Tensor, labels: Tensor, decision: Decision) -> Tensor:
    """Return how far the logits of every pixel are from those that give its label; 0 if they do."""
    if decision.plain:
        return logits.amax(0) - logits.gather(0, labels[None])[0]
    limits = torch.logit(torch.from_numpy(decision.limits(len(logits))), eps=1e-7)
    if not decision.overlapping:
        margin = logits[1] - logits[0] - limits
    else:
        margin = (logits - limits[:, None, None]).permute(1, 2, 0)
    return torch.where(labels == (margin >= 0), 0.0, margin.abs())


@dataclass(frozen=True)
class Agreement:
    """Largest difference from torch in float32, relative to the range of the logits, and share of equal labels."""

    difference: float
    labels: float


@torch.inference_mode()
def compare(session: Callable[[Tensor], Tensor], network: CoarseNetwork, channels: int) -> Agreement:
    """Compare a converted network with the original on test images of `channels` channels."""
    differences, agreeing, pixels = [0.0], 0, 0
    for height, width in CONVERTED_SIZES:
        images = network.pad(_waves(channels, height, width)).contiguous(memory_format=torch.channels_last)
        expected, got = network(images), session(images)
        if got.shape != expected.shape or not got.isfinite().all():
            return Agreement(float("inf"), 0.0)
        spread = float(expected.max() - expected.min())
        differences.append(float((got - expected).abs().max()) / max(spread, 1e-30))
        agreeing += int((got.argmax(1) == expected.argmax(1)).sum())
        pixels += expected[:, 0].numel()
    return Agreement(max(differences), agreeing / pixels)


def verify(
    session: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    channels: int,
    *,
    precision: Precision,
    what: str,
    remedy: str = "",
) -> Agreement:
    """Check that a converted network agrees with the original; `precision` determines the tolerance.

    `what` is the name of the converted network in the message.

    Raises:
        ConfigError: if the difference exceeds the tolerance.
    """
    agreement = compare(session, network, channels)
    tolerance = TOLERANCES[precision]
    if not agreement.difference <= tolerance:
        raise ConfigError(
            f"{what} in {precision} differs from torch by {agreement.difference:.2g} of the logits' range",
            expected=f"{tolerance:g} or less",
            remedy=remedy,
        )
    return agreement


def _waves(channels: int, height: int, width: int) -> Tensor:
    """Return a deterministic image of waves from -1 to 1, (1, channels, height, width)."""
    rows = torch.linspace(0, 9, height)[:, None]
    columns = torch.linspace(0, 7, width)[None, :]
    maps = [torch.sin(rows * (1 + 0.3 * index) + columns * (0.5 + 0.2 * index) + index) for index in range(channels)]
    return torch.stack(maps)[None]
