"""The looks at an image that are averaged: sizes and mirror images.

Source: TF DeepLab, `model.py`, `predict_labels_multi_scale`: at each scale, and mirrored, the logits are resized to
the image's size, the softmax is taken, and the probabilities are averaged. `multi_scale_logits` brings the logits of
reduced images to the size of the full image's before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from xseg.inference.scores import Scores, View
from xseg.models.coarse import CoarseNetwork
from xseg.nn.resize import resize


def scaled(size: int, scale: float) -> int:
    """Return the size of a side at `scale`, so that sizes of stride * k + 1 keep that form where they can.

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
) -> Tensor:
    """Average the class probabilities over sizes and mirror images, all at the images' size.

    Args:
        compute: see `look`, as for all that follow.
        network: says how images are padded.
        images: (N, C, H, W) float32, normalised.
        scales: sizes to run at.
        flip: run on the mirror images too.

    Returns:
        (N, classes, H, W) float32 on the images' device; they add up to 1 over the classes.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    for logits, grid, size, mirrored in _views(compute, network, images, scales, flip):
        if grid != size:
            logits = resize(logits, *grid)[..., : size[0], : size[1]]
        logits = logits.flip(-1) if mirrored else logits
        probabilities = resize(logits, height, width).softmax(dim=1)
        total = probabilities if total is None else total.add_(probabilities)
    if total is None:
        raise ValueError(f"scales={tuple(scales)}; expected one number above 0, or more")
    return total.div_(len(scales) * (1 + flip))


def look(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> list[Scores]:
    """Run a network on images of one size, at every scale and mirrored.

    Args:
        compute: maps what `network.pad` returns to what `network` returns; a backend.
        network: says how images are padded, and how its scores lie over them.
        images: (N, C, H, W) float32, normalised.
        scales: sizes to run at, 1.0 the images' own; one or more.
        flip: run on the left-right mirror images at each size too.

    Returns:
        The scores of each image, not yet at its size.
    """
    height, width = images.shape[-2:]
    views: list[list[View]] = [[] for _ in images]
    for logits, grid, size, mirrored in _views(compute, network, images, scales, flip):
        arrays = logits.contiguous().cpu().numpy()
        for looks, array in zip(views, arrays, strict=True):
            looks.append(View(array, grid, size, mirrored))
    return [Scores(tuple(looks), height, width) for looks in views]


def _views(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    scales: Sequence[float],
    flip: bool,
) -> Iterator[tuple[Tensor, tuple[int, int], tuple[int, int], bool]]:
    """Give the logits of each view, the sizes of the padded and of the bare view, and whether it is mirrored."""
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
