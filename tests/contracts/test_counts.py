"""Parameters and multiply-adds against the published and counted figures."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import xseg
from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder


def multiply_adds(network: nn.Module, *size: int) -> int:
    """Count the multiply-adds of all convolutions on the meta device, biases left out."""
    total = 0

    def count(module: nn.Conv2d, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(count)
    with torch.device("meta"):
        network.eval()(torch.zeros(1, 3, *size))
    return total


PARAMETERS = {
    "xception": 20_806_952,  # Keras, trainable, without the classifier
    "xception41": 24_920_560,
    "xception65": 37_867_312,
    "xception71": 40_289_736,
    "xception41p": 24_858_752,
    "xception65p": 37_770_560,  # timm
}


def test_encoder_parameters(encoder_name):
    with torch.device("meta"):
        encoder = XceptionEncoder(encoder_spec(encoder_name))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == PARAMETERS[encoder_name]


def test_the_original_xception_with_1000_classes_has_the_papers_parameters():
    with torch.device("meta"):
        classifier = nn.Sequential(XceptionEncoder(encoder_spec("xception")), nn.Linear(2048, 1000))
    assert sum(parameter.numel() for parameter in classifier.parameters()) == 22_855_952  # Chollet 2017, Table 3


@pytest.mark.parametrize(
    ("encoder", "output_stride", "giga"),
    [
        ("xception41", 16, 40.01),
        ("xception41", 8, 122.45),
        ("xception65", 16, 54.04),
        ("xception65", 8, 176.85),
        ("xception71", 16, 66.07),
        ("xception71", 8, 189.96),
        ("xception", 16, 35.11),
        ("xception", 8, 105.11),
        ("xception41p", 16, 40.01),
        ("xception65p", 16, 54.04),
    ],
)
def test_multiply_adds_of_deeplabv3plus_at_513(encoder, output_stride, giga):
    with torch.device("meta"):
        model = xseg.create_model("deeplabv3plus", encoder=encoder, classes=21, output_stride=output_stride)
    assert round(multiply_adds(model, 513, 513) / 1e9, 2) == giga


@pytest.mark.parametrize(("output_stride", "giga"), [(16, 48.57), (8, 163.61)])
def test_multiply_adds_of_the_encoder_alone(output_stride, giga):
    with torch.device("meta"):
        encoder = XceptionEncoder(encoder_spec("xception65"), output_stride=output_stride)
    assert round(multiply_adds(encoder, 513, 513) / 1e9, 2) == giga
