"""Folding of batch normalisations into convolutions, for inference in torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from xseg.encoders.block import Shortcut
from xseg.nn.aspp import ConvNormRelu
from xseg.nn.atrous import DepthwiseConv2d, atrous_depthwise
from xseg.nn.separable import SeparableConv2d


class FoldedDepthwise(nn.Module):
    """A `DepthwiseConv2d` with folded normalisation: kernels (C, 1, 3, 3) and biases (C,)."""

    def __init__(self, source: DepthwiseConv2d, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.rate, self.atrous = source.stride, source.rate, source.atrous

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        if self.atrous and features.device.type == "cpu":
            return atrous_depthwise(features, self.weight, self.rate).add_(self.bias[:, None, None])
        groups = features.shape[1]
        return F.conv2d(features, self.weight, self.bias, self.stride, self.rate, self.rate, groups)


def folded(network: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode with batch normalisations folded into convolutions.

    Only pairs with a known order are folded: those in xseg's own layers, and neighbours in `nn.Sequential`. The network
    itself is not changed.
    """
    result = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(result.modules()):
        for convolution, norm in _pairs(parent):
            _fold(parent, convolution, norm)
    return result


def _pairs(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of directly consecutive parts of a module."""
    if isinstance(parent, ConvNormRelu | Shortcut):
        yield "conv", "norm"
    elif isinstance(parent, SeparableConv2d):
        first, second = ("depthwise", "pointwise") if parent.depthwise_first else ("pointwise", "depthwise")
        yield first, "norm_mid"
        yield second, "norm_out"
    elif isinstance(parent, nn.Sequential) and type(parent).forward is nn.Sequential.forward:
        names = [name for name, _ in parent.named_children()]
        yield from pairwise(names)


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    """Fold a pair if it is a convolution and a batch normalisation with statistics."""
    conv, bn = getattr(parent, convolution), getattr(parent, norm)
    plain = type(conv) in (nn.Conv2d, DepthwiseConv2d) and not conv._forward_hooks
    if not (plain and isinstance(bn, nn.BatchNorm2d) and bn.running_mean is not None and bn.running_var is not None):
        return
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    if isinstance(conv, DepthwiseConv2d):
        setattr(parent, convolution, FoldedDepthwise(conv, weight.detach(), bias.detach()))
    else:
        with torch.no_grad():
            conv.weight, conv.bias = weight, bias
    setattr(parent, norm, nn.Identity())
