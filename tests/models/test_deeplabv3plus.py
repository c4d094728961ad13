"""DeepLabV3+ as the paper describes it, over every encoder."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

import xseg
from xseg.errors import ConfigError
from xseg.models.deeplabv3plus import default_rates

SMALL = {"width": 0.125, "decoder_channels": 16, "classes": 5}


def small(encoder, **arguments):
    torch.manual_seed(0)
    return xseg.create_model("deeplabv3plus", encoder=encoder, **{**SMALL, **arguments})


@pytest.mark.parametrize("size", [(33, 33), (64, 96), (65, 71)])
def test_logits_have_the_size_of_the_image(encoder_name, size):
    assert small(encoder_name).eval()(torch.zeros(1, 3, *size)).shape == (1, 5, *size)


@pytest.mark.parametrize("batch", [1, 2])
def test_every_parameter_receives_a_gradient(encoder_name, batch, waves):
    model = small(encoder_name, output_stride=16).train()
    logits = model(waves(batch, 3, 65, 65))
    torch.nn.functional.cross_entropy(logits, torch.arange(65).expand(batch, 65, 65) % 5).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize(("output_stride", "rates"), [(32, (3, 6, 9)), (16, (6, 12, 18)), (8, (12, 24, 36))])
def test_rates_follow_the_output_stride(output_stride, rates):
    model = small("xception41", output_stride=output_stride)
    assert default_rates(output_stride) == rates
    assert tuple(branch.depthwise.dilation[0] for branch in model.decoder.aspp.atrous) == rates


def test_another_output_stride_shares_the_weights(encoder_name, waves):
    model = small(encoder_name, output_stride=16).eval()
    dense = model.with_output_stride(8)
    assert dense.encoder.output_stride == 8
    assert not dense.training
    ours, theirs = dict(model.named_parameters()), dict(dense.named_parameters())
    assert list(ours) == list(theirs)
    assert all(ours[name] is theirs[name] for name in ours)
    with torch.no_grad():
        model.segmentation_head.bias.add_(1.0)
    assert_close(dense.segmentation_head.bias, model.segmentation_head.bias)
    buffers = dict(dense.named_buffers())
    assert all(buffers[name].data_ptr() == buffer.data_ptr() for name, buffer in model.named_buffers())
    assert dense(waves(1, 3, 65, 65)).shape == (1, 5, 65, 65)


def test_rates_set_by_hand_cover_the_same_context_at_another_output_stride():
    dense = small("xception41", atrous_rates=(4, 8, 12)).with_output_stride(8)
    assert tuple(branch.depthwise.dilation[0] for branch in dense.decoder.aspp.atrous) == (8, 16, 24)


def test_the_decoder_is_built_as_tf_deeplab_builds_it():
    model = xseg.create_model("deeplabv3plus", encoder="xception41", classes=21)
    aspp, decoder = model.decoder.aspp, model.decoder
    assert aspp.projection.conv.weight.shape == (256, 5 * 256, 1, 1)
    assert decoder.low_projection.conv.weight.shape == (48, 256, 1, 1)
    assert [part.depthwise.in_channels for part in decoder.refine] == [304, 256]
    assert aspp.dropout.p == 0.1
    assert model.segmentation_head.weight.shape == (21, 256, 1, 1)
    assert model.segmentation_head.bias is not None


def test_image_pooling_is_the_first_branch(waves):
    model = small("xception41").eval()
    seen = []
    model.decoder.aspp.projection.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    model(waves(1, 3, 65, 65))
    first = seen[0][:, :16]
    assert_close(first, first[..., :1, :1].expand_as(first))
    assert not torch.allclose(seen[0][:, 16:32], seen[0][:, 16:32, :1, :1].expand(-1, -1, *first.shape[2:]))


def test_a_constant_map_stays_in_place_when_resized():
    from xseg.nn.resize import resize

    ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    assert_close(resize(ramp, 17, 17)[0, 0, 0], torch.linspace(0, 4, 17))  # corners on corners


@pytest.mark.parametrize("encoder", ["xception", "xception41"])
@pytest.mark.slow
def test_torchscript_and_export_agree_with_the_model(encoder, waves):
    model = small(encoder).eval()
    images = waves(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(images)
        assert_close(torch.jit.script(model)(images), expected)
        assert_close(torch.export.export(model, (images,), strict=True).module()(images), expected)


def test_a_shallow_encoder_is_refused():
    with pytest.raises(ConfigError, match="depth=2"):
        small("xception", depth=2)


@pytest.mark.parametrize("bad", [{"classes": 0}, {"dropout": 1.0}, {"atrous_rates": (1, 2)}, {"output_stride": 5}])
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        small("xception", **bad)
