"""SMP's losses, over the labelled pixels alone."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

from xseg.losses.cross_entropy import single

SmpLossName: TypeAlias = Literal["focal", "dice", "lovasz", "tversky"]


class LabelledPixels(nn.Module):
    """One of SMP's losses, given only the pixels that have a label.

    SMP's losses treat `ignore_index` each in its own way: some divide by all pixels, some know none, some give no
    scalar where every pixel is ignored. Given only labelled pixels, as one image of one row, none of that matters:
    what is ignored changes neither loss nor gradient, and a batch without any label gives 0 with gradients 0.

    Args:
        loss: maps logits (1, C, 1, P) and labels (1, 1, P) to a scalar.
        ignore_index: the value of pixels without a label.
    """

    def __init__(self, loss: nn.Module, ignore_index: int) -> None:
        super().__init__()
        self.loss, self.ignore_index = loss, ignore_index

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (N, C, H, W) and a mask (N, H, W) int64."""
        labelled = mask != self.ignore_index
        if not labelled.any():
            return single(logits).sum() * 0.0
        pixels = single(logits).movedim(1, -1)[labelled]  # (P, C)
        loss: Tensor = self.loss(pixels.T[None, :, None, :], mask[labelled][None, None, :])
        return loss


def smp_loss(
    name: SmpLossName, *, ignore_index: int, gamma: float = 2.0, alpha: float = 0.5, beta: float = 0.5
) -> LabelledPixels:
    """Return one of SMP's losses for several classes.

    Args:
        name: which one.
        ignore_index: the value of pixels without a label.
        gamma: of "focal".
        alpha: weight of wrongly predicted pixels, of "tversky".
        beta: weight of missed pixels, of "tversky".
    """
    from segmentation_models_pytorch import losses  # SMP takes seconds to import, and cross-entropy needs none of it

    mode = losses.MULTICLASS_MODE
    made: nn.Module
    if name == "focal":
        made = losses.FocalLoss(mode, gamma=gamma)
    elif name == "dice":
        made = losses.DiceLoss(mode)
    elif name == "lovasz":
        made = losses.LovaszLoss(mode)
    else:
        made = losses.TverskyLoss(mode, alpha=alpha, beta=beta)
    return LabelledPixels(made, ignore_index)
