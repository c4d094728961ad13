"""SMP's encoders, including timm's, for the models of this package, and this package's encoders for SMP's models."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from segmentation_models_pytorch.encoders import encoders as smp_registry
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from xseg.encoders.variants import encoder_spec, list_encoders
from xseg.encoders.xception import INIT_STD, Encoder, XceptionEncoder
from xseg.errors import ConfigError, did_you_mean
from xseg.files.objects import is_held, load_object
from xseg.nn.initialization import initialize, off_the_meta_device, repeat_kernels
from xseg.types import OUTPUT_STRIDES, OutputStride

if TYPE_CHECKING:
    from xseg.models.config import ModelConfig

TIMM = "tu-"  # SMP's prefix for names from timm
OURS_ALONE = ("padding", "width", "multi_grid", "ablation")  # options for this package's own encoders only
NAME = re.compile(r"[\w.+-]+")
EVEN, ODD = (64, 96), (65, 97)  # heights and widths with which an encoder is tried


class SmpEncoder(XceptionEncoder):
    """An encoder with the methods that SMP calls after construction.

    Args:
        name: name from `xseg.list_encoders()`.
        width: multiplier of the channels, rounded to multiples of 8.
        depth: number of feature maps after the input.
        output_stride: output stride from SMP, at which the encoder is built.
    """

    def __init__(self, name: str, width: float, depth: int = 5, output_stride: OutputStride = 32) -> None:
        super().__init__(encoder_spec(name).scaled(width), depth=depth, output_stride=output_stride)

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Rebuild the first convolution for images with `in_channels` channels, as in SMP.

        With `pretrained`, its kernels are repeated over the channels and scaled so that the response to a grey image
        does not change; one channel gets their sum.
        """
        if in_channels == self.in_channels:
            return
        first = self.stem.conv1.conv
        fresh = nn.Conv2d(in_channels, first.out_channels, 3, stride=2, padding=1, bias=False).to(first.weight)
        initialize(fresh, depthwise=INIT_STD, pointwise=INIT_STD)
        if pretrained:
            fresh.weight.data.copy_(repeat_kernels(first.weight.data, in_channels))
        self.stem.conv1.conv = fresh
        self.in_channels = in_channels
        self.out_channels[0] = in_channels

    def make_dilated(self, output_stride: int) -> None:
        """Check the output stride with which the encoder was built.

        Raises:
            ConfigError: if it differs.
        """
        if min(output_stride, 2**self.depth) != self.output_stride:
            got = f"make_dilated({output_stride}) of an encoder with output stride {self.output_stride}"
            expected = "the output stride with which it was built"
            raise ConfigError(got, expected=expected, remedy="pass output_stride when building the encoder")


def build_smp_encoder(config: ModelConfig) -> Encoder:
    """Build one of SMP's encoders, with random weights under SMP's names.

    A run on a small image shows the strides of its maps, and whether it supports images of odd sizes.

    Raises:
        ConfigError: if the encoder is unknown, does not support the output stride or depth, or an option for this
            package's own encoders is set.
    """
    for option in OURS_ALONE:
        value, default = getattr(config, option), getattr(type(config)(), option)
        if value != default:
            got = f"{option}={value} with SMP's encoder {config.encoder!r}"
            expected = f"{default}, the default"
            raise ConfigError(got, expected=expected, remedy=f"only {', '.join(list_encoders())} support it")
    try:
        network = create_smp_encoder(config)
    except ConfigError:
        raise
    except Exception as error:  # SMP and timm raise almost any exception
        raise _refusal(config, error) from error
    encoder: Any = network
    if encoder.output_stride != config.output_stride and is_held(config.encoder):
        got = f"output_stride={config.output_stride} with your own encoder {config.encoder}"
        raise ConfigError(got, expected=f"{encoder.output_stride}, which it has")
    encoder.name, encoder.depth, encoder.in_channels = config.encoder, config.depth, config.in_channels
    encoder.strides, encoder.multiple = _tried(network, config)
    for norm in (part for part in network.modules() if isinstance(part, _BatchNorm)):
        norm.eps = norm.eps if config.encoder_norm_eps is None else config.encoder_norm_eps
        norm.momentum = norm.momentum if config.encoder_norm_momentum is None else config.encoder_norm_momentum
    return cast("Encoder", encoder)


def create_smp_encoder(config: ModelConfig, weights: str | bool | None = None) -> nn.Module:
    """Return SMP's encoder for a configuration, with weights downloaded by SMP, if any."""
    if is_held(config.encoder):
        parts = {"encoder": partial(_own_encoder, config.encoder), "params": {}, "pretrained_settings": {}}
        smp_registry[config.encoder] = parts
    elif not NAME.fullmatch(config.encoder):  # timm also accepts addresses of models, which a bundle must not contain
        raise KeyError(config.encoder)
    with off_the_meta_device():
        settings = {"in_channels": config.in_channels, "depth": config.depth, "output_stride": config.output_stride}
        return cast(nn.Module, get_encoder(config.encoder, weights=weights, **settings))


def _nothing(*_arguments: Any, **_options: Any) -> None:
    """Do nothing."""


def _own_encoder(path: str, depth: int, output_stride: int) -> nn.Module:
    """Return a copy of a user's own encoder, with the methods that SMP calls after construction.

    Raises:
        ConfigError: if it is not an encoder, or has another depth.
    """
    found: Any = load_object(path)
    if not isinstance(found, nn.Module) or not hasattr(found, "out_channels"):
        expected = "a torch.nn.Module from images to a list of maps, with out_channels, the channels of each"
        raise ConfigError(f"encoder {path} is {type(found).__name__}", expected=expected)
    maps = len(cast(Sequence[int], found.out_channels))
    if maps != depth + 1:
        raise ConfigError(f"depth={depth} with encoder {path} of {maps} maps", expected=f"depth={maps - 1}")
    own: Any = copy.deepcopy(found)
    needed = {"output_stride": output_stride, **dict.fromkeys(("set_in_channels", "make_dilated"), _nothing)}
    for name in (name for name in needed if not hasattr(own, name)):
        setattr(own, name, needed[name])
    return cast(nn.Module, own)


def _tried(network: nn.Module, config: ModelConfig) -> tuple[list[int], int]:
    """Return the strides of an encoder's maps, and the multiple required for image sizes."""
    try:
        maps = _run(network, config.in_channels, EVEN)
    except Exception as error:
        got = f"encoder {config.encoder!r} fails on images of {EVEN[0]}x{EVEN[1]} pixels: {_first_line(error)}"
        raise ConfigError(got, expected="an encoder for images of any size") from error
    strides = [EVEN[0] // rows for rows, _, _ in maps]
    if strides[-1] != min(config.output_stride, 2**config.depth):
        raise _refusal(config, ValueError(f"its last map has a stride of {strides[-1]}"))
    try:
        maps = _run(network, config.in_channels, ODD)
    except Exception:
        return strides, 2**config.depth
    aligned = all(  # maps without channels stand for those that a transformer lacks
        (rows, columns) == (math.ceil(ODD[0] / stride), math.ceil(ODD[1] / stride)) or not channels
        for (rows, columns, channels), stride in zip(maps, strides, strict=True)
    )
    return strides, 1 if aligned else 2**config.depth


@torch.no_grad()
def _run(network: nn.Module, channels: int, size: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return rows, columns and channels of the maps of an image, without changing the network."""
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        images = torch.zeros(1, channels, *size, device=next(network.parameters()).device)
        return [(features.shape[2], features.shape[3], features.shape[1]) for features in network(images)]
    finally:
        for part, training in modes:
            part.training = training


def _refusal(config: ModelConfig, error: Exception) -> ConfigError:
    """Return the error for an encoder that cannot be built, with the alternatives."""
    known = config.encoder in smp_registry or config.encoder.startswith((TIMM, "timm-"))
    if not is_held(config.encoder) and not (known and NAME.fullmatch(config.encoder)):
        return ConfigError(
            f"encoder {config.encoder!r}",
            expected=f"one of {', '.join(list_encoders())}, or an encoder of SMP, such as resnet34 or tu-convnext_tiny",
            remedy=did_you_mean(config.encoder, [*list_encoders(), *smp_registry]),
        )
    able = [stride for stride in OUTPUT_STRIDES if stride != config.output_stride and _can_have(config, stride)]
    if able:
        strides = " or ".join(map(str, able))
        return ConfigError(f"output_stride={config.output_stride} with encoder {config.encoder!r}", expected=strides)
    got = f"encoder {config.encoder!r} at depth {config.depth}: {_first_line(error)}"
    return ConfigError(got, expected="one that SMP can build")


def _can_have(config: ModelConfig, output_stride: OutputStride) -> bool:
    """Return whether an encoder supports another output stride."""
    try:
        create_smp_encoder(replace(config, output_stride=output_stride))
    except Exception:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
