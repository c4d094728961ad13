"""Comparison of a converted network with the original, feature map by feature map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

TOLERANCE = 1e-4  # of the largest value, in float32
SIZES = ((129, 129), (128, 160))  # odd and even, where paddings differ
Runner: TypeAlias = Callable[[Tensor, int], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Difference:
    """Largest difference of one output, relative to the largest value of the original's.

    `name` is "1" to "5" for the encoder's feature maps, or "logits"; `size` is the height and width of the image.
    """

    size: tuple[int, int]
    output_stride: int
    name: str
    relative: float

    @property
    def within(self) -> bool:
        """Whether the difference is within float32 rounding."""
        return self.relative < TOLERANCE


def compare(
    ours: Runner, original: Runner, *, strides: Sequence[int], sizes: Sequence[tuple[int, int]] = SIZES
) -> list[Difference]:
    """Run both networks on the same images and compare their outputs.

    Args:
        ours: function from images (1, 3, H, W) in [-1, 1] and an output stride to named maps (1, C, h, w).
        original: the same for the original; maps that it does not return are not compared.
        strides: output strides.
        sizes: heights and widths of the images.
    """
    differences = []
    for height, width in sizes:
        images = smooth_noise(height, width)
        for stride in strides:
            with torch.inference_mode():
                theirs, own = original(images, stride), ours(images, stride)
            differences += [
                Difference((height, width), stride, name, _relative(own[name], map_))
                for name, map_ in sorted(theirs.items())
            ]
    return differences


def _relative(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference divided by the largest value; infinity if the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30))


def smooth_noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Return a random image (1, 3, height, width) in [-1, 1] with coarse and fine structure."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    fine = torch.rand(1, 3, height, width, generator=generator)
    mixed = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear") + 0.5 * fine
    return mixed / 1.5 * 2 - 1


def table(differences: Sequence[Difference]) -> list[str]:
    """Return the differences of each run as lines."""
    lines = []
    for size, stride in dict.fromkeys((one.size, one.output_stride) for one in differences):
        run = [one for one in differences if (one.size, one.output_stride) == (size, stride)]
        values = ", ".join(f"{one.name} {one.relative:.1e}" for one in run)
        lines.append(f"check {size[0]}x{size[1]} at output stride {stride}: {values}")
    return lines
