"""Networks of equal size: finds the width that gives each variant the same number of parameters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from xseg.encoders.spec import EncoderSpec
from xseg.encoders.variants import encoder_spec
from xseg.errors import ConfigError
from xseg.lab.studies import FULLY_CONNECTED, Study, Variant
from xseg.models.classifier import ClassifierConfig, XceptionClassifier

ENCODER = "xception"
TOLERANCE = 0.02  # relative difference of the parameters
_STEPS, _WIDER = 7, 1.3  # steps of the search for a width, and factor after a network that is too narrow


@dataclass(frozen=True)
class Network:
    """A variant with a width, the multiplier of its channels; multiply-adds are per image, and 0 until counted."""

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
        """Return the same network with counted parameters, and multiply-adds for images of `size` x `size`."""
        parameters, multiply_adds = costs(self.build, (1, 3, size, size))
        return replace(self, parameters=parameters, multiply_adds=multiply_adds)


def to_single_channels(spec: EncoderSpec, width: float) -> EncoderSpec:
    """Return a table with `width` times the channels, rounded to integers; multiples of 8 would miss the budget."""

    def scaled(channels: int) -> int:
        return max(1, int(channels * width + 0.5))

    stages = tuple(replace(stage, widths=tuple(map(scaled, stage.widths))) for stage in spec.stages)
    return replace(spec, stages=stages, stem=(scaled(spec.stem[0]), scaled(spec.stem[1])))


@cache
def solve(study: Study, *, width: float, classes: int, dropout: float, size: int) -> tuple[Network, ...]:
    """Return the networks of a study, with about as many parameters as the first at `width`.

    The multiply-adds are those of images of `size` x `size` pixels.

    Raises:
        ConfigError: if no width gives a variant the same number of parameters within 2 %.
    """
    first, *others = study.variants
    reference = Network(first, width, classes, dropout).counted(size)
    networks = [reference]
    for variant in others:
        network = _solved(Network(variant, width, classes, dropout), reference.parameters)
        if abs(network.parameters / reference.parameters - 1) > TOLERANCE:
            counts = f"{network.parameters} parameters at its nearest width and {first.name} {reference.parameters}"
            expected = f"a difference of at most {TOLERANCE:.0%}"
            raise ConfigError(f"{variant.name} has {counts}", expected=expected, remedy="use a larger width")
        networks.append(network.counted(size))
    return tuple(networks)


def _solved(network: Network, parameters: int) -> Network:
    """Return the network at the width with the nearest number of parameters.

    The number grows almost with the square of the width, so a few steps are enough.
    """
    best = network
    for _ in range(_STEPS):
        with suppress(ConfigError), torch.device("meta"):
            network = replace(network, parameters=0)
            network = replace(network, parameters=count_parameters(network.build()))
        if abs(network.parameters - parameters) < abs(best.parameters - parameters):
            best = network
        if network.parameters == parameters:
            break
        # 0 stands for a network that cannot be built, because it has more segments than channels
        step = sqrt(parameters / network.parameters) if network.parameters else _WIDER
        network = replace(network, width=network.width * step)
    return best


def count_parameters(model: nn.Module) -> int:
    """Return the number of values of all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def costs(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the parameters of a network and its multiply-adds for a batch of a shape, without memory for either."""
    with torch.device("meta"):
        model = build().eval()
        return count_parameters(model), count_multiply_adds(model, torch.empty(shape))


def count_multiply_adds(model: nn.Module, images: torch.Tensor) -> int:
    """Return the multiply-adds of convolutions and dense layers for a batch; works on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return int(counter.get_total_flops()) // 2  # it counts a multiply-add as two operations
