"""The last block's convolutions run at the dilations of the multi-grid."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

import xseg
from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder


def reference(encoder, factors, images):
    """Run an encoder whose last block has no multi-grid, but whose depthwise convolutions are done by hand with it."""

    def convolve(conv, rate):
        weight, groups = conv.weight, conv.in_channels
        return lambda features: F.conv2d(features, weight, padding=rate, dilation=rate, groups=groups)

    for conv, factor in zip(encoder.blocks[-1].convs, factors, strict=True):
        conv.depthwise.forward = convolve(conv.depthwise, conv.depthwise.dilation[0] * factor)
    return encoder(images)


@pytest.mark.parametrize("output_stride", [8, 32])
def test_each_convolution_has_the_dilation_of_its_factor(encoder_name, output_stride):
    spec = encoder_spec(encoder_name).scaled(0.125)
    factors = (1, 2, 4)[-len(spec.stages[-1].widths) :]
    gridded = XceptionEncoder(spec.with_multi_grid(factors), output_stride=output_stride).eval()
    plain = XceptionEncoder(spec, output_stride=output_stride).eval()
    plain.load_state_dict(gridded.state_dict())
    images = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        without, features = plain(images), gridded(images)
        expected = reference(plain, factors, images)
    assert_close(features, expected)
    assert_close(features[:-1], without[:-1])
    assert not torch.allclose(features[-1], without[-1])


def test_a_model_passes_its_multi_grid_to_the_encoder():
    model = xseg.create_model(encoder="xception41", width=0.125, decoder_channels=8, multi_grid=(1, 2, 4))
    assert [conv.depthwise.dilation for conv in model.encoder.blocks[-1].convs] == [(2, 2), (4, 4), (8, 8)]
