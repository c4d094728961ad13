"""Strict loading of weights into a network; every tensor is accounted for."""

from __future__ import annotations

import logging

from torch import nn

from xseg.encoders.xception import XceptionEncoder
from xseg.errors import WeightsError
from xseg.nn.initialization import repeat_kernels
from xseg.nn.norm import NormSpec
from xseg.types import PathArgument
from xseg.weights.catalogue.download import locate
from xseg.weights.convert import convert
from xseg.weights.formats.read import read_source
from xseg.weights.formats.source import Source

LOGGER = logging.getLogger(__name__)
FIRST_CONVOLUTION = "stem.conv1.conv.weight"


def load_encoder_weights(encoder: XceptionEncoder, weights: PathArgument | nn.Module) -> NormSpec:
    """Load weights into an encoder, in place.

    A shallower encoder loads its part of the weights. For another number of channels, the first kernels are repeated.
    The batch normalisations get the epsilon and momentum with which the weights were trained.

    Args:
        encoder: encoder of any depth, number of input channels and output stride.
        weights: file that `xseg convert` reads, name from the catalogue ("imagenet"), or timm, SMP or xseg model in
            memory; from a whole model, the encoder is used.

    Returns:
        Epsilon and momentum of the encoder.

    Raises:
        WeightsError: if the file cannot be read, or does not fit. The encoder is unchanged then.
    """
    source = weights if isinstance(weights, nn.Module) else locate(weights, encoder=encoder.name)
    return load_encoder_source(encoder, read_source(source))


def load_encoder_source(encoder: XceptionEncoder, source: Source) -> NormSpec:
    """Load tensors of any known origin into an encoder, in place; see `load_encoder_weights`.

    Raises:
        WeightsError: if their origin is unknown, or they do not fit. The encoder is unchanged then.
    """
    conversion = convert(source)
    if conversion.encoder != encoder.name:
        raise WeightsError(f"{source.name} holds {conversion.encoder}", expected=encoder.name)
    state = conversion.encoder_state()
    first = state[FIRST_CONVOLUTION]
    if first.shape[1] != encoder.in_channels:
        LOGGER.info(
            "%s: first convolution repeated from %d to %d channels", source.name, first.shape[1], encoder.in_channels
        )
        state[FIRST_CONVOLUTION] = repeat_kernels(first, encoder.in_channels)
    own = encoder.state_dict()
    for name, tensor in own.items():
        if name not in state:
            got = f"{source.name} holds a shallower encoder, without {name}"
            raise WeightsError(got, expected=f"depth {encoder.depth}")
        if tensor.shape != state[name].shape:
            got = f"{source.name} has {name} of shape {list(state[name].shape)}, the encoder {list(tensor.shape)}"
            expected = f"an {encoder.name} of the same width"
            raise WeightsError(got, expected=expected, remedy="build the encoder without a width multiplier")
    nn.Module.load_state_dict(encoder, {name: state[name] for name in own})  # SMP's encoders override it
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = conversion.plan.norm.eps, conversion.plan.norm.momentum
    return conversion.plan.norm
