"""Networks of equal size: a variant's width is solved for, on the meta device, so that the parameters agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import sqrt

import torch
from torch.utils.flop_counter import FlopCounterMode

from xseg.encoders.spec import EncoderSpec, Stage
from xseg.encoders.variants import encoder_spec
from xseg.errors import ConfigError
from xseg.lab.studies import FULLY_CONNECTED, Study, Variant
from xseg.models.classifier import ClassifierConfig, XceptionClassifier

ENCODER = "xception"
TOLERANCE = 0.02  # of the parameters
_STEPS, _WIDER = 7, 1.3  # of the search for a width; factor away from a network that is too narrow


@dataclass(frozen=True)
class Network:
    """A variant at a width.

    Args:
        variant: what it is.
        width: multiplier of the encoder's channels, rounded to whole channels.
        classes: number of outputs.
        dropout: of the outputs' input.
        parameters: number of weights that learn.
        multiply_adds: of one image; 0 until counted.
    """

    variant: Variant
    width: float
    classes: int
    dropout: float
    parameters: int = 0
    multiply_adds: int = 0

    def build(self) -> XceptionClassifier:
        """Build the network with random weights."""
        spec = to_single_channels(encoder_spec(ENCODER), self.width).with_ablation(self.variant.ablation)
        units = max(1, round(FULLY_CONNECTED * spec.channels[-1]))
        config = ClassifierConfig(
            encoder=ENCODER,
            classes=self.classes,
            dropout=self.dropout,
            fully_connected=(units,) * self.variant.fully_connected,
            width=self.width,
            ablation=self.variant.ablation,
        )
        return XceptionClassifier(config, spec=spec)

    def counted(self, size: int) -> Network:
        """Return the same network with its parameters, and its multiply-adds for images of `size` x `size`."""
        with torch.device("meta"):
            model = self.build().eval()
            images = torch.empty(1, 3, size, size)
        return replace(self, parameters=_parameters(model), multiply_adds=count_multiply_adds(model, images))


def to_single_channels(spec: EncoderSpec, width: float) -> EncoderSpec:
    """Return a table with `width` times the channels, rounded to 1: rounding to 8 would not meet a budget."""

    def scaled(stage: Stage) -> Stage:
        return replace(stage, widths=tuple(_scaled(channels, width) for channels in stage.widths))

    first, second = spec.stem
    return replace(
        spec,
        stages=tuple(scaled(stage) for stage in spec.stages),
        stem=(_scaled(first, width), _scaled(second, width)),
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, int(channels * width + 0.5))


@cache
def solve(study: Study, *, width: float, classes: int, dropout: float, size: int) -> tuple[Network, ...]:
    """Return the networks of a study, all of about as many parameters as the first at `width`.

    Args:
        study: the variants.
        width: of the first one.
        classes: number of outputs.
        dropout: of the outputs' input.
        size: of the images in pixels, for the multiply-adds.

    Raises:
        ConfigError: if a variant cannot be built at a width that gives as many parameters, within 2 %.
    """
    first, *others = study.variants
    reference = Network(first, width, classes, dropout).counted(size)
    networks = [reference]
    for variant in others:
        network = _solved(Network(variant, width, classes, dropout), reference.parameters)
        if abs(network.parameters / reference.parameters - 1) > TOLERANCE:
            raise ConfigError(
                f"{variant.name} has {network.parameters} parameters at its nearest width and {first.name} "
                f"{reference.parameters}",
                expected=f"a difference of {TOLERANCE:.0%} at most",
                remedy="use a larger width",
            )
        networks.append(network.counted(size))
    return tuple(networks)


def _solved(network: Network, parameters: int) -> Network:
    """Return the network at the width whose parameters are nearest.

    They grow nearly with the square of the width, so that a few steps get there.
    """
    best = network
    for _ in range(_STEPS):
        network = replace(network, parameters=_size(network))
        if abs(network.parameters - parameters) < abs(best.parameters - parameters):
            best = network
        if network.parameters == parameters:
            break
        # 0 is a network that cannot be built: it has more segments than channels
        step = sqrt(parameters / network.parameters) if network.parameters else _WIDER
        network = replace(network, width=network.width * step)
    return best


def _size(network: Network) -> int:
    try:
        with torch.device("meta"):
            return _parameters(network.build())
    except ConfigError:
        return 0


def _parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: torch.nn.Module, images: torch.Tensor) -> int:
    """Return the multiply-adds of convolutions and dense layers for a batch; works on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return int(counter.get_total_flops()) // 2  # it counts a multiply-add as two operations
