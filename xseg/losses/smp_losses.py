"""SMP's losses on labelled pixels only."""

from __future__ import annotations

from torch import Tensor, nn

from xseg.losses.cross_entropy import single


class LabelledPixels(nn.Module):
    """One of SMP's losses, applied to labelled pixels only.

    SMP's losses handle `ignore_index` differently: some divide by all pixels, some do not support it, some return no
    scalar if every pixel is ignored. Here they get only the labelled pixels, as one image with one row, so that ignored
    pixels change neither loss nor gradient, and a batch without labels gives 0 with zero gradients.

    Args:
        loss: loss from logits (1, C, 1, P) and labels (1, 1, P) to a scalar.
        ignore_index: value of pixels without label.
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


class Focal(LabelledPixels):
    """Focal loss.

    Args:
        ignore_index: value of pixels without label.
        gamma: exponent, 0 or more.
    """

    def __init__(self, *, ignore_index: int, gamma: float = 2.0) -> None:
        super().__init__(_smp("Focal", gamma=gamma), ignore_index)


class Dice(LabelledPixels):
    """Dice loss; `ignore_index` is the value of pixels without label."""

    def __init__(self, *, ignore_index: int) -> None:
        super().__init__(_smp("Dice"), ignore_index)


class Lovasz(LabelledPixels):
    """Lovász-Softmax loss; `ignore_index` is the value of pixels without label."""

    def __init__(self, *, ignore_index: int) -> None:
        super().__init__(_smp("Lovasz"), ignore_index)


class Tversky(LabelledPixels):
    """Tversky loss.

    Args:
        ignore_index: value of pixels without label.
        alpha: weight of wrongly predicted pixels.
        beta: weight of missed pixels.
    """

    def __init__(self, *, ignore_index: int, alpha: float = 0.5, beta: float = 0.5) -> None:
        super().__init__(_smp("Tversky", alpha=alpha, beta=beta), ignore_index)


def _smp(name: str, **arguments: float) -> nn.Module:
    from segmentation_models_pytorch import losses  # takes seconds, and cross-entropy does not need it

    loss: nn.Module = getattr(losses, f"{name}Loss")(losses.MULTICLASS_MODE, **arguments)
    return loss
