"""Atrous spatial pyramid pooling with separable convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.nn.norm import NormSpec, PooledBatchNorm2d, batch_norm
from xseg.nn.separable import SeparableConv2d


class ConvNormRelu(nn.Module):
    """A bias-free convolution, batch normalisation and ReLU.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        spec: epsilon and momentum of the batch normalisation.
        kernel: side of the kernel, odd.
        stride: stride of the convolution.
        padding: zeros on every side; None for half the kernel.
        norm: whether to normalise and activate; False for the bare convolution.
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


class ImagePooling(ConvNormRelu):
    """Mean over the whole feature map, projected and expanded to the size of the map."""

    def __init__(self, in_channels: int, out_channels: int, *, spec: NormSpec) -> None:
        super().__init__(in_channels, out_channels, spec=spec)
        self.norm = PooledBatchNorm2d(out_channels, eps=spec.eps, momentum=spec.momentum)

    def forward(self, features: Tensor) -> Tensor:
        """Pool (N, in_channels, H, W) to (N, out_channels, H, W), constant over H and W."""
        pooled: Tensor = self.activation(self.norm(self.conv(features.mean(dim=(2, 3), keepdim=True))))
        return pooled.expand(-1, -1, features.shape[2], features.shape[3])


class ASPP(nn.Module):
    """Image pooling, a 1x1 convolution and three atrous separable convolutions in parallel, then a projection.

    Args:
        in_channels: channels of the encoder's last feature map.
        channels: channels of each branch and of the output.
        rates: atrous rates, three in DeepLabV3+.
        spec: epsilon and momentum of the batch normalisations.
        dropout: share of output values dropped in training.
        image_pooling: whether to include image pooling.

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
