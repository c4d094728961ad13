"""SMP's losses, over the labelled pixels alone."""

from __future__ import annotations

from torch import Tensor, nn

from xseg.losses.cross_entropy import single


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


class Focal(LabelledPixels):
    """The focal loss.

    Args:
        ignore_index: the value of pixels without a label.
        gamma: exponent, 0 or more.
    """

    def __init__(self, *, ignore_index: int, gamma: float = 2.0) -> None:
        super().__init__(_smp("Focal", gamma=gamma), ignore_index)


class Dice(LabelledPixels):
    """The Dice loss; `ignore_index` is the value of pixels without a label."""

    def __init__(self, *, ignore_index: int) -> None:
        super().__init__(_smp("Dice"), ignore_index)


class Lovasz(LabelledPixels):
    """The Lovász-Softmax loss; `ignore_index` is the value of pixels without a label."""

    def __init__(self, *, ignore_index: int) -> None:
        super().__init__(_smp("Lovasz"), ignore_index)


class Tversky(LabelledPixels):
    """The Tversky loss.

    Args:
        ignore_index: the value of pixels without a label.
        alpha: weight of wrongly predicted pixels.
        beta: weight of missed pixels.
    """

    def __init__(self, *, ignore_index: int, alpha: float = 0.5, beta: float = 0.5) -> None:
        super().__init__(_smp("Tversky", alpha=alpha, beta=beta), ignore_index)


def _smp(name: str, **arguments: float) -> nn.Module:
    from segmentation_models_pytorch import losses  # takes seconds, and cross-entropy needs none of it

    loss: nn.Module = getattr(losses, f"{name}Loss")(losses.MULTICLASS_MODE, **arguments)
    return loss
