"""SMP's losses on labelled pixels only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from xseg.losses.cross_entropy import single


class LabelledPixels(nn.Module):
    """One of SMP's losses, applied to labelled pixels only.

    SMP's losses handle `ignore_index` differently: some divide by all pixels, some do not support it, some return no
    scalar if every pixel is ignored. Here they get only the labelled pixels, as one image with one row, so that ignored
    pixels change neither loss nor gradient, and a batch without labels gives 0 with zero gradients.

    Args:
        ignore_index: value of pixels without label.
        multilabel: whether classes overlap; then it is the mean over the classes of the loss of a binary problem, for
            masks (N, C, H, W) of 0, 1 and `ignore_index`.
        arguments: arguments of SMP's class, which is NAMELoss for the subclass NAME.
    """

    def __init__(
        self, *, ignore_index: int, multilabel: bool = False, arguments: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        super().__init__()
        from segmentation_models_pytorch import losses  # takes seconds, and cross-entropy does not need it

        mode = losses.BINARY_MODE if multilabel else losses.MULTICLASS_MODE
        self.loss = getattr(losses, f"{type(self).__name__}Loss")(mode, **arguments)
        self.ignore_index, self.multilabel = ignore_index, multilabel

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (N, C, H, W) and a mask (N, H, W) int64."""
        if not self.multilabel:
            return self._of_labelled(logits, mask)
        return torch.stack([self._of_labelled(logits[:, c : c + 1], mask[:, c]) for c in range(mask.shape[1])]).mean()

    def _of_labelled(self, logits: Tensor, mask: Tensor) -> Tensor:
        labelled = mask != self.ignore_index
        if not labelled.any():
            return single(logits).sum() * 0.0
        pixels = single(logits).movedim(1, -1)[labelled]  # (P, C)
        loss: Tensor = self.loss(pixels.T[None, :, None, :], mask[labelled][None, None, :])
        return loss


class Dice(LabelledPixels):
    """Dice loss."""


class Jaccard(LabelledPixels):
    """Jaccard loss."""


class Lovasz(LabelledPixels):
    """Lovász-Softmax loss, or the Lovász hinge loss if classes overlap."""


class Focal(LabelledPixels):
    """Focal loss with the exponent `gamma`, 0 or more."""

    def __init__(self, *, ignore_index: int, multilabel: bool = False, gamma: float = 2.0) -> None:
        super().__init__(ignore_index=ignore_index, multilabel=multilabel, arguments={"gamma": gamma})


class Tversky(LabelledPixels):
    """Tversky loss with the weights `alpha` of wrongly predicted and `beta` of missed pixels."""

    def __init__(self, *, ignore_index: int, multilabel: bool = False, alpha: float = 0.5, beta: float = 0.5) -> None:
        super().__init__(ignore_index=ignore_index, multilabel=multilabel, arguments={"alpha": alpha, "beta": beta})
