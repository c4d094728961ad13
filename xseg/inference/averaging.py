"""Averaging over scales and mirror images.

Source: TF DeepLab, `model.py`, `predict_labels_multi_scale`: at each scale, and mirrored, the logits are resized to
the size of the image, and the softmax probabilities are averaged. Before that, `multi_scale_logits` resizes the logits
of reduced images to the size of those of the full image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from xseg.inference.scores import View, WholeImage
from xseg.labels.decision import PLAIN, Decision
from xseg.models.coarse import CoarseNetwork
from xseg.nn.resize import resize


def scaled(size: int, scale: float) -> int:
    """Return the size of a side at `scale`; sizes of stride * k + 1 keep this form if possible.

    Source: TF DeepLab, `model.py`, `scale_dimension`.
    """
    return max(1, int((size - 1) * scale + 1))


def averaged_probabilities(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    decision: Decision = PLAIN,
) -> Tensor:
    """Average class probabilities over scales and mirror images, at the size of the images.

    Args:
        compute: function that computes the network; see `compute_scores`.
        network: network, which pads the images.
        images: normalised images, (N, C, H, W) float32.
        scales: scales of the images.
        flip: whether to use mirror images too.
        decision: rule for the probabilities.

    Returns:
        Probabilities, (N, classes, H, W) float32 on the device of the images.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    for logits, grid, size, mirrored in _views(compute, network, images, scales, flip):
        if grid != size:
            logits = resize(logits, *grid)[..., : size[0], : size[1]]
        logits = logits.flip(-1) if mirrored else logits
        probabilities = decision.batch_probabilities(resize(logits, height, width))
        total = probabilities if total is None else total.add_(probabilities)
    if total is None:
        raise ValueError(f"scales={tuple(scales)}; expected one number above 0, or more")
    return total.div_(len(scales) * (1 + flip))


def compute_scores(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    decision: Decision = PLAIN,
) -> list[WholeImage]:
    """Run a network on images of one size, at every scale and mirrored.

    Args:
        compute: function from the result of `network.pad` to the output of `network`, such as a backend.
        network: network, which pads the images and aligns its scores with them.
        images: normalised images, (N, C, H, W) float32.
        scales: one or more scales; 1.0 is the size of the images.
        flip: whether to use left-right mirror images at each scale too.
        decision: rule for probabilities and labels.

    Returns:
        The scores of each image, before resizing to its size.
    """
    height, width = images.shape[-2:]
    views: list[list[View]] = [[] for _ in images]
    for logits, grid, size, mirrored in _views(compute, network, images, scales, flip):
        arrays = logits.contiguous().cpu().numpy()
        for looks, array in zip(views, arrays, strict=True):
            looks.append(View(array, grid, size, mirrored))
    return [WholeImage(tuple(looks), height, width, decision) for looks in views]


def _views(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    scales: Sequence[float],
    flip: bool,
) -> Iterator[tuple[Tensor, tuple[int, int], tuple[int, int], bool]]:
    """Yield the logits of each view, its size with and without padding, and whether it is mirrored."""
    height, width = images.shape[-2:]
    for scale in scales:
        size = (scaled(height, scale), scaled(width, scale))
        view = resize(images, *size).contiguous(memory_format=torch.channels_last)
        for mirrored in (False, True) if flip else (False,):
            padded = network.pad(view.flip(-1) if mirrored else view)
            logits = compute(padded)
            grid = (padded.shape[-2], padded.shape[-1])
            if scale < 1 and network.stride > 1 and grid == size:
                logits = resize(logits, (height - 1) // network.stride + 1, (width - 1) // network.stride + 1)
            yield logits, grid, size, mirrored
