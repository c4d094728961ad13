"""Cross-entropy over the labelled pixels of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def labelled_cross_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    ignore_index: int,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the weighted mean cross-entropy of the pixels that have a label.

    Equals `torch.nn.functional.cross_entropy`, but a batch without any label gives 0 with gradients 0, where torch
    gives NaN (0 / 0) and destroys the weights. SMP's `SoftCrossEntropyLoss` divides by all pixels, so that ignored
    ones lower the loss and the gradient; here they change neither.

    Args:
        logits: (N, C, H, W), any floating type; computed in float32.
        mask: (N, H, W) int64, 0 to C - 1 or `ignore_index`.
        ignore_index: the value of pixels without a label.
        class_weights: (C,) float32, above 0; None for 1.
        label_smoothing: share of the target spread over all classes, 0 to 1.

    Returns:
        A scalar, float32.
    """
    total = F.cross_entropy(
        logits.float(),
        mask,
        weight=class_weights,
        ignore_index=ignore_index,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    labelled = mask != ignore_index
    if class_weights is None:
        weight = labelled.sum().to(total.dtype)
    else:
        weight = class_weights[torch.where(labelled, mask, 0)].mul(labelled).sum()
    return total / weight.clamp(min=torch.finfo(torch.float32).tiny)
