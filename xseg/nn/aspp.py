"""Atrous spatial pyramid pooling, of separable convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.nn.norm import NormSpec, PooledBatchNorm2d, batch_norm
from xseg.nn.separable import SeparableConv2d


class ConvNormRelu(nn.Module):
    """A bias-free convolution, batch normalisation and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        spec: the numbers of the batch normalisation.
        kernel: side of the kernel, odd.
        stride: of the convolution.
        padding: rows and columns of zeros on every side; by default half the kernel.
        norm: False for the bare convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spec: NormSpec,
        kernel: int = 1,
        stride: int = 1,
        padding: int | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        pad = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=pad, bias=False)
        self.norm = batch_norm(out_channels, spec) if norm else nn.Identity()
        self.activation = nn.ReLU() if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        output: Tensor = self.activation(self.norm(self.conv(features)))
        return output


class ImagePooling(nn.Module):
    """The mean over the whole map, projected, and put back at every place of it."""

    def __init__(self, in_channels: int, out_channels: int, *, spec: NormSpec) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = PooledBatchNorm2d(out_channels, eps=spec.eps, momentum=spec.momentum)
        self.activation = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Pool (N, in_channels, H, W) to (N, out_channels, H, W), constant over H and W."""
        pooled: Tensor = self.activation(self.norm(self.conv(features.mean(dim=(2, 3), keepdim=True))))
        return pooled.expand(-1, -1, features.shape[2], features.shape[3])


class ASPP(nn.Module):
    """Image pooling, a 1x1 convolution and three atrous separable ones, side by side, then projected.

    Args:
        in_channels: channels of the encoder's last map.
        channels: channels of each branch and of the output.
        rates: the atrous rates, three in DeepLabV3+.
        spec: the numbers of the batch normalisation.
        dropout: share of the output's values dropped in training.
        image_pooling: whether there is a branch of the whole image.

    Source: TF DeepLab `model.py`, `_get_features` (branches in this order); Chen et al. 2018, section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        rates: tuple[int, ...],
        spec: NormSpec,
        dropout: float,
        image_pooling: bool = True,
    ) -> None:
        super().__init__()
        self.pooling = ImagePooling(in_channels, channels, spec=spec) if image_pooling else None
        self.pointwise = ConvNormRelu(in_channels, channels, spec=spec)
        self.atrous = nn.ModuleList(
            SeparableConv2d(in_channels, channels, norm="each", activation="after", spec=spec, dilation=rate)
            for rate in rates
        )
        self.projection = ConvNormRelu((1 + image_pooling + len(rates)) * channels, channels, spec=spec)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map the encoder's last map (N, in_channels, h, w) to (N, channels, h, w)."""
        branches = [self.pointwise(features)]
        if self.pooling is not None:
            branches.insert(0, self.pooling(features))
        for branch in self.atrous:
            branches.append(branch(features))
        output: Tensor = self.dropout(self.projection(torch.cat(branches, dim=1)))
        return output
