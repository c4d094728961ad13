"""Averaging over scales, mirror images and quarter turns.

Source: TF DeepLab, `model.py`, `predict_labels_multi_scale`: at each scale, and mirrored, the logits are resized to
the size of the image, and the softmax probabilities are averaged. Before that, `multi_scale_logits` resizes the logits
of reduced images to the size of those of the full image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from xseg.inference.options import InferenceOptions
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
    options: InferenceOptions,
    decision: Decision = PLAIN,
) -> Tensor:
    """Average class probabilities over scales, mirror images and quarter turns; arguments as for `compute_scores`.

    Returns:
        Probabilities, (N, classes, H, W) float32 on the device of the images.
    """
    views: list[Tensor] = []  # at most the first one, to which the others are added
    for logits, grid, size, mirrored in _views(compute, network, images, options):
        if grid != size:
            logits = resize(logits, *grid)[..., : size[0], : size[1]]
        if any(mirrored):
            logits = logits.flip([axis for axis, backwards in zip((-2, -1), mirrored, strict=True) if backwards])
        probabilities = decision.batch_probabilities(resize(logits, *images.shape[-2:]))
        views = [views[0].add_(probabilities) if views else probabilities]
    return views[0].div_(len(options.scales) * (1 + options.flip) * (4 if options.rotations else 1))


def compute_scores(
    compute: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    images: Tensor,
    *,
    options: InferenceOptions,
    decision: Decision = PLAIN,
) -> list[WholeImage]:
    """Run a network on images of one size, at every scale, mirrored and turned.

    Args:
        compute: function from the result of `network.pad` to the output of `network`, such as a backend.
        network: network, which pads the images and aligns its scores with them.
        images: normalised images, (N, C, H, W) float32.
        options: scales; whether to use left-right mirror images at each scale, and all four quarter turns of each.
        decision: rule for probabilities and labels.

    Returns:
        The scores of each image, before resizing to its size.
    """
    height, width = images.shape[-2:]
    views: list[list[View]] = [[] for _ in images]
    for logits, grid, size, mirrored in _views(compute, network, images, options):
        for looks, array in zip(views, logits.contiguous().cpu().numpy(), strict=True):
            looks.append(View(array, grid, size, mirrored))
    return [WholeImage(tuple(looks), height, width, decision) for looks in views]


def _views(
    compute: Callable[[Tensor], Tensor], network: CoarseNetwork, images: Tensor, options: InferenceOptions
) -> Iterator[tuple[Tensor, tuple[int, int], tuple[int, int], tuple[bool, bool]]]:
    """Yield the logits of each view, its size with and without padding, and whether rows and columns are reversed.

    A view on its side is transposed, so that its rows are those of the image.
    """
    height, width = images.shape[-2:]
    quarters, mirrors = range(4 if options.rotations else 1), (False, True) if options.flip else (False,)
    for scale, turns, mirrored in product(options.scales, quarters, mirrors):
        view = resize(images, scaled(height, scale), scaled(width, scale)).contiguous(memory_format=torch.channels_last)
        view = view.flip(-1) if mirrored else view
        view = torch.rot90(view, turns, (-2, -1)).contiguous(memory_format=torch.channels_last) if turns else view
        padded = network.pad(view)
        logits = compute(padded)
        grid, size = (padded.shape[-2], padded.shape[-1]), (view.shape[-2], view.shape[-1])
        if turns % 2:
            logits, grid, size = logits.transpose(-2, -1), grid[::-1], size[::-1]
        if scale < 1 and network.stride > 1 and grid == size:
            logits = resize(logits, (height - 1) // network.stride + 1, (width - 1) // network.stride + 1)
        yield logits, grid, size, (turns in (2, 3), (turns in (1, 2)) != mirrored)
