"""What the models ask of an encoder, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn


class Encoder(nn.Module):
    """A network from images (N, in_channels, H, W) to a list of maps, the images or the finest map first.

    Attributes:
        name: name that it is asked for by.
        depth: number of maps after the first.
        in_channels: number of image channels.
        output_stride: size of the image over size of the last map.
        strides: size of the image over size of each map.
        out_channels: channels of each map.
        multiple: number that the rows and columns of images are multiples of. With 1, a map has ceil(size / stride)
            rows and columns, and its pixel i lies over pixel stride * i of the image.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations of a class body, and cannot read these
        name: str
        depth: int
        in_channels: int
        output_stride: int
        strides: list[int]
        out_channels: list[int]
        multiple: int
