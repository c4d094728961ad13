"""Objective of a training: the weighted sum of losses in the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from xseg.errors import ConfigError, ShapeError
from xseg.losses.registry import LOSSES
from xseg.losses.terms import LossFunction, Term
from xseg.training.options.recipe import LossOptions


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
