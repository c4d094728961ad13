"""Cross-entropy over the labelled or the hardest pixels of a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xseg.errors import ConfigError


def single(logits: Tensor) -> Tensor:
    """Return logits in float32; float64 is kept."""
    return logits if logits.dtype == torch.float64 else logits.float()


def labelled_cross_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    ignore_index: int,
    share: float | None = None,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    across: Callable[[Tensor], Tensor] | None = None,
    multilabel: bool = False,
) -> Tensor:
    """Return the weighted mean cross-entropy of the labelled pixels, or of those among the hardest pixels of a batch.

    Equals `torch.nn.functional.cross_entropy`, except that a batch without labels gives 0 with zero gradients instead
    of NaN (0 / 0), which would destroy the weights. SMP's `SoftCrossEntropyLoss` divides by all pixels, so that ignored
    pixels lower the loss and the gradient; here they change neither.

    The hardest pixels have the highest weighted cross-entropy. Their number is a share of all pixels of the batch,
    including ignored ones with a cross-entropy of 0: if half of a batch is ignored, half as many pixels are mined.

    Args:
        logits: logits, (N, C, H, W) of any floating type; computed in float32 or more.
        mask: labels, (N, H, W) int64, 0 to C - 1 or `ignore_index`; (N, C, H, W) for overlapping classes.
        ignore_index: value of pixels without label.
        share: share of all pixels, above 0 and up to 1; at least one pixel is used. None for all pixels, as with 1.
        class_weights: weights of the classes, (C,) float32, above 0; None for 1.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        across: function from the divisor of the sum to its mean over all training processes. The mean of their losses,
            and of their gradients, then equals that of one process with all their pixels; each process uses the hardest
            of its own pixels.
        multilabel: whether classes overlap: the mean binary cross-entropy of every class in every pixel, with labels 0,
            1 or `ignore_index`, whose class weights multiply the entropy of 1.

    Returns:
        A scalar, float32, or float64 for such logits.

    Raises:
        ConfigError: if the share is out of range.

    Source: TF DeepLab `train_utils.add_softmax_cross_entropy_loss_for_each_scale`, which divides by the number of
    selected pixels with a loss above 0.
    """
    if share is not None and not 0 < share <= 1:
        raise ConfigError(f"share={share} of hard pixels", expected="above 0 and up to 1")
    logits = single(logits)
    if multilabel:
        weights = (mask != ignore_index).to(logits)
        target = torch.where(mask == ignore_index, 0, mask).to(logits) * (1 - label_smoothing) + label_smoothing / 2
        positive = None if class_weights is None else class_weights.to(logits)[:, None, None]
        loss = F.binary_cross_entropy_with_logits(logits, target, weights, reduction="none", pos_weight=positive)
        return _mean(loss, weights, share, across)
    loss = F.cross_entropy(
        logits,
        mask,
        weight=None if class_weights is None else class_weights.to(logits),
        ignore_index=ignore_index,
        reduction="sum" if share is None else "none",
        label_smoothing=label_smoothing,
    )
    labelled = mask != ignore_index
    weights = labelled.float() if class_weights is None else class_weights[torch.where(labelled, mask, 0)] * labelled
    return _mean(loss, weights, share, across)


def _mean(loss: Tensor, weights: Tensor, share: float | None, across: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Return the mean of weighted losses, or of the share with the highest losses; the losses may be summed already."""
    if share is not None:
        hardest, places = torch.topk(loss.flatten(), max(1, int(share * loss.numel())), sorted=False)
        loss, weights = hardest, weights.flatten()[places]
    weight = weights.sum() if across is None else across(weights.sum())
    return loss.sum() / weight.clamp(min=torch.finfo(torch.float32).tiny)


class CrossEntropy(nn.Module):
    """Weighted mean cross-entropy, in training optionally of the hardest pixels only.

    Args:
        hard_pixels: share of all pixels used in training, above 0 and up to 1.
        hard_pixel_steps: number of steps over which the share falls from 1 to `hard_pixels`.
        ignore_index, label_smoothing, multilabel: see `labelled_cross_entropy`.
        across: see `labelled_cross_entropy`; used only in training.
    """

    def __init__(
        self,
        *,
        ignore_index: int,
        label_smoothing: float = 0.0,
        hard_pixels: float = 1.0,
        hard_pixel_steps: int = 0,
        across: Callable[[Tensor], Tensor] | None = None,
        multilabel: bool = False,
    ) -> None:
        super().__init__()
        self.multilabel = multilabel
        self.ignore_index, self.label_smoothing, self.across = ignore_index, label_smoothing, across
        self.hard_pixels, self.hard_pixel_steps = hard_pixels, hard_pixel_steps

    def forward(
        self, logits: Tensor, mask: Tensor, *, class_weights: Tensor | None = None, step: int | None = None
    ) -> Tensor:
        """Return the loss, a scalar, after a number of optimiser steps; None for validation, which uses all pixels.

        For logits (N, C, H, W), mask and class weights, see `labelled_cross_entropy`.
        """
        share = None
        if step is not None and self.hard_pixels != 1:
            share = hard_pixel_share(step, share=self.hard_pixels, steps=self.hard_pixel_steps)
        return labelled_cross_entropy(
            logits,
            mask,
            ignore_index=self.ignore_index,
            share=share,
            class_weights=class_weights,
            label_smoothing=self.label_smoothing,
            across=None if step is None else self.across,
            multilabel=self.multilabel,
        )


def hard_pixel_share(step: int, *, share: float, steps: int) -> float:
    """Return the share of mined pixels at a step, which falls linearly from 1 to `share` and then stays constant.

    Source: TF DeepLab `train_utils`: ratio = min(1, step / hard_example_mining_step).
    """
    ratio = min(1.0, step / steps) if steps else 1.0
    return ratio * share + (1.0 - ratio)
