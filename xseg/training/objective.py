"""Objective of a training: the weighted sum of losses, class weights, and the auxiliary head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from xseg.errors import ConfigError, ShapeError
from xseg.losses.registry import LOSSES
from xseg.losses.terms import LossFunction, Term
from xseg.models.segmentation import SegmentationModel
from xseg.nn.aspp import ConvNormRelu
from xseg.nn.norm import NormSpec
from xseg.nn.resize import resize
from xseg.training.options.recipe import ClassWeighting, LossOptions

UNEVEN = 10.0  # ratio of the pixels of two classes from which "auto" uses weights
CHANNELS, DROPOUT = 256, 0.1  # of the auxiliary head


class Objective(nn.Module):
    """Weighted sum of losses over the labelled pixels.

    Args:
        options: loss options.
        classes: number of classes, C.
        ignore_index: value of pixels without label.
        multilabel: whether classes overlap.
        class_weights: class weights in the cross-entropy, (C,) float32; None for 1.
        across: function from a scalar to its mean over all training processes; None for one process. The cross-entropy
            is then exactly that of all pixels together; other losses are computed for the pixels of each process.

    Attributes:
        parts: last unweighted value of each loss by name.

    Raises:
        ConfigError: if a loss by class path is missing, or two have the same name.
    """

    def __init__(
        self,
        options: LossOptions,
        *,
        classes: int,
        ignore_index: int,
        multilabel: bool = False,
        class_weights: Tensor | None = None,
        across: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._fixed: dict[str, Any] = {"ignore_index": ignore_index, "classes": classes, "multilabel": multilabel}
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights)
        self.parts: dict[str, Tensor] = {}
        given = {**self._fixed, "across": across}
        for name in ("label_smoothing", "hard_pixels", "hard_pixel_steps"):
            given[name] = getattr(options, name)
        self.terms = nn.ModuleDict()
        for source, weight, arguments in _chosen(options):
            term = Term(source, weight, given=given, arguments=arguments)
            if term.label in self.terms:
                raise ConfigError(f"two losses named {term.label}", expected="different names")
            self.terms[term.label] = term

    def forward(self, logits: Tensor, mask: Tensor, step: int | None = None) -> Tensor:
        """Return the objective.

        Args:
            logits: logits, (N, C, H, W) of any floating type.
            mask: labels, (N, H, W) int64, 0 to C - 1 or the ignored value; (N, C, H, W) of 0, 1 or the ignored value
                for overlapping classes.
            step: number of completed optimiser steps, for mining hard pixels; None for no mining, as in validation,
                where losses of different steps are compared.

        Returns:
            A scalar, float32, or float64 for such logits.

        Raises:
            ShapeError: if logits and mask do not fit each other.
            ConfigError: if a user's own loss fails or does not return a scalar.
        """
        multilabel = self._fixed["multilabel"]
        if logits.ndim != 4 or mask.shape != (logits.shape if multilabel else (len(logits), *logits.shape[2:])):
            raise ShapeError(
                f"logits of {tuple(logits.shape)} and a mask of {tuple(mask.shape)}",
                expected=f"(N, C, H, W), {'(N, C, H, W)' if multilabel else '(N, H, W)'}",
            )
        given = {**self._fixed, "class_weights": self.class_weights, "step": step}
        parts = {name: (term.weight, term(logits, mask, given)) for name, term in self.terms.items()}
        self.parts = {name: value.detach() for name, (_, value) in parts.items()}
        weighted = [weight * value for weight, value in parts.values()]
        total: Tensor = sum(weighted[1:], start=weighted[0])
        return total


def _chosen(options: LossOptions) -> list[tuple[str | LossFunction, float, Mapping[str, Any]]]:
    """Return source, weight and arguments of each loss that has a weight."""
    chosen: list[tuple[str | LossFunction, float, Mapping[str, Any]]] = []
    for name, loss in LOSSES.items():
        weight = getattr(options, name)
        if weight > 0:
            chosen.append((name, weight, {key: getattr(options, f"{name}_{key}") for key in loss.parameters}))
    for source, value in options.terms.items():
        arguments = dict(value) if isinstance(value, Mapping) else {"weight": value}
        chosen.append((source, arguments.pop("weight"), arguments))
    return chosen


def class_weights(pixels: Sequence[int], weighting: ClassWeighting) -> tuple[float, ...] | None:
    """Return the weight of each class.

    Args:
        pixels: number of labelled pixels of each class.
        weighting: "none"; "inverse": median / frequency; "inverse_sqrt": its square root; "auto": "inverse_sqrt" if the
            most frequent class has over ten times the pixels of the rarest one with pixels, else "none".

    Returns:
        One weight above 0 per class, or None for no weights. Classes without pixels have weight 1 and do not affect the
        median.

    Source: Eigen and Fergus 2015, section 6.3.2, with the share of all pixels as the frequency.
    """
    counts = np.asarray(pixels, dtype=np.float64)
    met = counts > 0
    if weighting == "auto":
        weighting = "inverse_sqrt" if met.any() and counts.max() > UNEVEN * counts[met].min() else "none"
    if weighting == "none":
        return None
    if not met.any():
        return (1.0,) * len(counts)
    ratio = np.ones_like(counts)
    ratio[met] = np.median(counts[met]) / counts[met]
    return tuple((np.sqrt(ratio) if weighting == "inverse_sqrt" else ratio).tolist())


def given_weights(names: Sequence[str], weights: Sequence[float] | Mapping[str, float]) -> tuple[float, ...]:
    """Return the weight of each class from numbers in their order or by name; 1 for names without a number.

    Raises:
        ConfigError: if there is another number of weights than of classes, or a name is unknown.
    """
    if isinstance(weights, Mapping):
        unknown = ", ".join(name for name in weights if name not in names)
        if unknown:
            raise ConfigError(f"class_weights of {unknown}", expected=f"names among {', '.join(names)}")
        return tuple(float(weights.get(name, 1.0)) for name in names)
    if len(weights) != len(names):
        got = f"{len(weights)} class_weights for {len(names)} classes"
        raise ConfigError(got, expected=f"one each for {', '.join(names)}")
    return tuple(map(float, weights))


class AuxiliaryHead(nn.Module):
    """Class scores from the encoder's second to last map, for a short path of the gradient to the middle layers.

    The head uses a hook on the encoder; the model is not changed, and saved without the head.

    Args:
        model: model to be trained, whose encoder gets the hook.
        channels: channels of the hidden layer.

    Source: Zhao et al. 2017 (PSPNet), section 3.3: 3x3 convolution, normalisation, ReLU, dropout 0.1, 1x1 convolution.
    """

    def __init__(self, model: SegmentationModel, channels: int = CHANNELS) -> None:
        super().__init__()
        inputs, outputs = model.encoder.out_channels[-2], model.config.outputs
        self.hidden = ConvNormRelu(inputs, channels, spec=NormSpec(), kernel=3)
        self.dropout = nn.Dropout(DROPOUT)
        self.scores = nn.Conv2d(channels, outputs, 1)
        self.class_logits = model.class_logits
        self._heard: Tensor | None = None
        model.encoder.register_forward_hook(self._hear)

    def _hear(self, _encoder: nn.Module, _images: Any, maps: list[Tensor]) -> None:
        self._heard = maps[-2] if self.training else None

    def forward(self, height: int, width: int) -> Tensor:
        """Return logits (N, classes, height, width) for the last batch of the encoder.

        Raises:
            RuntimeError: if there was no batch in training mode.
        """
        if self._heard is None:
            raise RuntimeError("the encoder has not been run in training mode")
        logits = self.class_logits(self.scores(self.dropout(self.hidden(self._heard))))
        self._heard = None
        return resize(logits, height, width)
