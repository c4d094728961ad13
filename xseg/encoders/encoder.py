"""Interface of encoders for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn


class Encoder(nn.Module):
    """A network from images (N, in_channels, H, W) to a list of feature maps, starting with the images or finest map.

    Attributes:
        name: name of the encoder.
        depth: number of maps after the first.
        in_channels: number of image channels.
        output_stride: ratio of the image size to the size of the last map.
        strides: ratio of the image size to the size of each map.
        out_channels: channels of each map.
        multiple: number of which height and width of images must be multiples. If it is 1, a map has
            ceil(size / stride) rows and columns, and its pixel i is aligned with pixel stride * i of the image.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations in a class body, and does not support these
        name: str
        depth: int
        in_channels: int
        output_stride: int
        strides: list[int]
        out_channels: list[int]
        multiple: int
