"""Separable convolution with the normalisation and activation of each Xception."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.nn.ablation import Ablation, Between
from xseg.nn.norm import NormSpec, batch_norm
from xseg.nn.segmented import spatial_convolution

NormPlacement: TypeAlias = Literal["each", "last", "first", "none"]
ActivationPlacement: TypeAlias = Literal["before", "after", "none"]

_BETWEEN: dict[Between, type[nn.Module]] = {"none": nn.Identity, "relu": nn.ReLU, "elu": nn.ELU}


class SeparableConv2d(nn.Module):
    """A 3x3 convolution of each channel, and a 1x1 convolution across channels.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        norm: "each" normalises after both halves (DeepLab), "last" after the second half (Chollet 2017), "first"
            before the first half (timm's pre-activated Xceptions), "none" not at all.
        activation: "before" adds one ReLU before the first half; "after" adds one after every normalisation.
        spec: epsilon and momentum of the batch normalisations.
        stride: stride of the 3x3 half.
        dilation: dilation and padding of the 3x3 half; output pixel i is aligned with input pixel `stride * i`.
        ablation: order of the halves, segments of channels, non-linearity between the halves, and depth multiplier.

    Raises:
        ConfigError: if there are more segments than channels, or the multiplier does not divide the output of a
            convolution that ends with its 3x3 half.

    Source: TF DeepLab `xception.py` `separable_conv2d_same`; Chollet 2017, sections 1.2 and 4.7, Figure 5.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: NormPlacement,
        activation: ActivationPlacement,
        spec: NormSpec,
        stride: int = 1,
        dilation: int = 1,
        ablation: Ablation | None = None,
    ) -> None:
        super().__init__()
        ablation = ablation or Ablation()
        after, multiplier = activation == "after", ablation.depth_multiplier
        self.depthwise_first = ablation.order == "depthwise_first"
        if not self.depthwise_first and out_channels % multiplier:
            raise ConfigError(f"depth_multiplier={multiplier}", expected=f"a divisor of {out_channels} channels")
        spatial = in_channels if self.depthwise_first else out_channels // multiplier
        mixed = (in_channels * multiplier, out_channels) if self.depthwise_first else (in_channels, spatial)
        middle = mixed[0] if self.depthwise_first else spatial
        self.norm_in = batch_norm(in_channels, spec) if norm == "first" else nn.Identity()
        self.activation_in = nn.ReLU() if activation == "before" else nn.Identity()
        self.depthwise = spatial_convolution(
            spatial, segments=ablation.segments, multiplier=multiplier, stride=stride, dilation=dilation
        )
        self.norm_mid = batch_norm(middle, spec) if norm == "each" else nn.Identity()
        between = nn.ReLU if after and norm == "each" and ablation.between == "none" else _BETWEEN[ablation.between]
        self.activation_mid = between()
        self.pointwise = nn.Conv2d(*mixed, 1, bias=False)
        self.norm_out = batch_norm(out_channels, spec) if norm in ("each", "last") else nn.Identity()
        self.activation_out = nn.ReLU() if after else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        hidden = self.activation_in(self.norm_in(features))
        hidden = self.depthwise(hidden) if self.depthwise_first else self.pointwise(hidden)
        hidden = self.activation_mid(self.norm_mid(hidden))
        hidden = self.pointwise(hidden) if self.depthwise_first else self.depthwise(hidden)
        output: Tensor = self.activation_out(self.norm_out(hidden))
        return output
