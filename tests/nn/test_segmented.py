"""The spatial convolution over segments, between a full and a depthwise one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xseg.errors import ConfigError
from xseg.nn.segmented import SegmentedConv2d, segment_sizes, spatial_convolution


@pytest.mark.parametrize("channels", [1, 7, 24])
@pytest.mark.parametrize("segments", [1, 3, 4, 7, 24])
def test_segments_share_the_channels_as_evenly_as_can_be(channels, segments):
    if segments > channels:
        with pytest.raises(ConfigError, match=f"1 to {channels}"):
            segment_sizes(channels, segments)
        return
    sizes = segment_sizes(channels, segments)
    assert (len(sizes), sum(sizes)) == (segments, channels)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_one_segment_is_a_full_convolution(stride, dilation):
    conv = SegmentedConv2d(6, segments=1, stride=stride, dilation=dilation)
    images = torch.randn(2, 6, 13, 12)
    (weight,) = conv.parameters()
    assert weight.shape == (6, 6, 3, 3)
    assert_close(conv(images), F.conv2d(images, weight, stride=stride, padding=dilation, dilation=dilation))


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_a_segment_per_channel_is_a_depthwise_convolution(stride, dilation):
    segmented = SegmentedConv2d(6, segments=6, stride=stride, dilation=dilation)
    depthwise = spatial_convolution(6, stride=stride, dilation=dilation)
    depthwise.load_state_dict({"weight": segmented.convs[0].weight})
    images = torch.randn(2, 6, 13, 12)
    assert_close(segmented(images), depthwise(images))


@pytest.mark.parametrize("segments", [1, 2, 3, 4, 7])
def test_an_output_sees_its_own_segment_and_no_other(segments):
    channels, multiplier = 7, 2
    conv = SegmentedConv2d(channels, segments=segments, multiplier=multiplier)
    images = torch.randn(1, channels, 5, 5, requires_grad=True)
    output = conv(images)
    assert output.shape == (1, channels * multiplier, 5, 5)
    start = 0
    for size in segment_sizes(channels, segments):
        (gradient,) = torch.autograd.grad(
            output[:, start * multiplier : (start + size) * multiplier].sum(), images, retain_graph=True
        )
        seen = [channel for channel in range(channels) if gradient[0, channel].abs().sum() > 0]
        assert seen == list(range(start, start + size))
        start += size


def test_the_fast_depthwise_convolution_is_used_wherever_it_is_one():
    plain = {type(spatial_convolution(8)), type(spatial_convolution(8, segments=8))}
    assert {kind.__name__ for kind in plain} == {"DepthwiseConv2d"}
    assert isinstance(spatial_convolution(8, segments=4), SegmentedConv2d)
    assert isinstance(spatial_convolution(8, multiplier=2), SegmentedConv2d)
