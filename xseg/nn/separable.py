"""The separable convolution, with its normalisation and activation where each Xception puts them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

from xseg.nn.atrous import DepthwiseConv2d
from xseg.nn.norm import NormSpec, batch_norm

NormPlacement: TypeAlias = Literal["each", "last", "first", "none"]
ActivationPlacement: TypeAlias = Literal["before", "after", "none"]


class SeparableConv2d(nn.Module):
    """A 3x3 depthwise convolution, then a 1x1 pointwise one.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: "each" normalises after both halves (DeepLab), "last" after the pointwise half (Chollet 2017), "first"
            before the depthwise half (timm's pre-activation Xceptions), "none" nowhere.
        activation: "before" puts one ReLU before the depthwise half; "after" one behind every normalisation.
        spec: the numbers of the batch normalisation.
        stride: of the depthwise half.
        dilation: of the depthwise half; it is also its padding, so that pixel i stays over pixel `stride * i`.

    Source: TF DeepLab `xception.py` `separable_conv2d_same`; Chollet 2017, Figure 5.
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
    ) -> None:
        super().__init__()
        after = activation == "after"
        self.norm_in = batch_norm(in_channels, spec) if norm == "first" else nn.Identity()
        self.activation_in = nn.ReLU() if activation == "before" else nn.Identity()
        self.depthwise = DepthwiseConv2d(in_channels, stride=stride, dilation=dilation)
        self.norm_mid = batch_norm(in_channels, spec) if norm == "each" else nn.Identity()
        self.activation_mid = nn.ReLU() if after and norm == "each" else nn.Identity()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm_out = batch_norm(out_channels, spec) if norm in ("each", "last") else nn.Identity()
        self.activation_out = nn.ReLU() if after else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        hidden = self.depthwise(self.activation_in(self.norm_in(features)))
        hidden = self.activation_mid(self.norm_mid(hidden))
        output: Tensor = self.activation_out(self.norm_out(self.pointwise(hidden)))
        return output
