"""Test-time averaging over sizes and mirror images.

Source: TF DeepLab, `model.py`, `predict_labels_multi_scale`: at each scale, and mirrored, the logits are resized to
the image's size, the softmax is taken, and the probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from xseg.nn.resize import resize


def scaled(size: int, scale: float) -> int:
    """Return the size of a side at `scale`, so that sizes of stride * k + 1 keep that form where they can.

    Source: TF DeepLab, `model.py`, `scale_dimension`.
    """
    return max(1, int((size - 1) * scale + 1))


def averaged_probabilities(model: nn.Module, images: Tensor, *, scales: Sequence[float], flip: bool) -> Tensor:
    """Average the class probabilities over sizes and mirror images.

    Args:
        model: maps (N, C, H, W) to logits (N, classes, H, W), any H and W.
        images: (N, C, H, W) float32, normalised.
        scales: sizes to run at, 1.0 the image's own; one or more.
        flip: run on the left-right mirror image at each size too.

    Returns:
        (N, classes, H, W) float32 probabilities, which add up to 1 over the classes.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    for logits in _views(model, images, scales, flip):
        probabilities = resize(logits.float(), height, width).softmax(dim=1)
        total = probabilities if total is None else total.add_(probabilities)
    if total is None:
        raise ValueError(f"scales={tuple(scales)}; expected one number above 0, or more")
    return total.div_(len(scales) * (1 + flip))


def _views(model: nn.Module, images: Tensor, scales: Sequence[float], flip: bool) -> Iterator[Tensor]:
    """Give the logits of each view at the view's size, mirrored back."""
    height, width = images.shape[-2:]
    for scale in scales:
        view = resize(images, scaled(height, scale), scaled(width, scale))
        view = view.contiguous(memory_format=torch.channels_last)
        yield model(view)
        if flip:
            yield model(view.flip(-1)).flip(-1)
