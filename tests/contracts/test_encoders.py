"""Properties of every encoder in the registry."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

import xseg
from xseg.errors import ConfigError, ShapeError

SMALL = 0.125  # width that keeps a test quick; what it tests does not depend on the channels


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def small(name, **arguments):
    torch.manual_seed(0)
    return xseg.create_encoder(name, width=SMALL, **arguments)


@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
@pytest.mark.parametrize("size", [(33, 33), (64, 64), (65, 97), (90, 121)])
def test_maps_have_ceil_of_size_over_stride(encoder_name, output_stride, size):
    encoder = small(encoder_name, output_stride=output_stride).eval()
    with torch.no_grad():
        features = encoder(torch.zeros(1, 3, *size))
    for feature, stride, channels in zip(features, encoder.strides, encoder.out_channels, strict=True):
        assert feature.shape == (1, channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
    assert encoder.output_stride == output_stride
    assert encoder.strides == [min(2**level, output_stride) for level in range(6)]


@pytest.mark.parametrize("size", [(513, 513), (360, 480), (600, 801)])
def test_large_maps_have_ceil_of_size_over_stride(encoder_name, size):
    with torch.no_grad():
        features = small(encoder_name, output_stride=16).eval()(torch.zeros(1, 3, *size))
    assert [feature.shape[-2:] for feature in features] == [
        (math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in (1, 2, 4, 8, 16, 16)
    ]


def test_names_and_shapes_of_weights_do_not_depend_on_the_output_stride(encoder_name):
    shapes = []
    for output_stride in (4, 8, 16, 32):
        encoder = small(encoder_name, output_stride=output_stride)
        shapes.append({name: tensor.shape for name, tensor in encoder.state_dict().items()})
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3]


@pytest.mark.parametrize(("padding", "size"), [("symmetric", (97, 75)), ("tf_same", (97, 76)), ("tf_same", (90, 95))])
@pytest.mark.parametrize("dense", [4, 8, 16])
def test_dilation_computes_the_same_features_on_a_denser_grid(encoder_name, dense, size, padding, settled, waves):
    images = waves(1, 3, *size)
    sparse = settled(small(encoder_name, output_stride=32, padding=padding), waves(1, 3, 97, 97))
    other = small(encoder_name, output_stride=dense, padding=padding).eval()
    other.load_state_dict(sparse.state_dict())
    with torch.no_grad():
        pairs = list(zip(other(images), sparse(images), strict=True))
    for level, (fine, rough) in enumerate(pairs):
        step = sparse.strides[level] // other.strides[level]
        subsampled = fine[..., ::step, ::step]
        assert_close(subsampled, rough, rtol=1e-4, atol=1e-4 * float(rough.abs().max()))
    assert float(pairs[-1][1].abs().max()) > 1e-3


def test_every_map_depends_on_the_image(encoder_name, settled, waves):
    encoder = settled(small(encoder_name), waves(2, 3, 65, 65))
    with torch.no_grad():
        first, second = encoder(waves(1, 3, 65, 65)), encoder(-waves(1, 3, 65, 65))
    assert all(not torch.allclose(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_shallower_encoder_gives_the_first_maps_and_builds_no_more(encoder_name, depth, settled, waves):
    images = waves(1, 3, 65, 65)
    whole = settled(small(encoder_name, output_stride=8), waves(2, 3, 65, 65))
    part = small(encoder_name, depth=depth, output_stride=8).eval()
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    assert_close(part(images), whole(images)[: depth + 1])
    part.train()
    sum(feature.pow(2).mean() for feature in part(images)[1:]).backward()
    assert all(parameter.grad is not None for parameter in part.parameters())
    assert part.out_channels == whole.out_channels[: depth + 1]
    assert part.output_stride == min(8, 2**depth)


@pytest.mark.parametrize("depth", [0, 6, -1])
def test_a_depth_out_of_range_is_refused(encoder_name, depth):
    with pytest.raises(ValueError, match=f"depth={depth}; expected 1 to 5"):
        small(encoder_name, depth=depth)


@pytest.mark.parametrize(
    "arguments", [{"output_stride": 12}, {"output_stride": 64}, {"padding": "same"}, {"in_channels": 0}, {"width": 0}]
)
def test_arguments_out_of_range_are_refused(arguments):
    name = next(iter(arguments))
    with pytest.raises(ConfigError, match=name):
        xseg.create_encoder("xception", **arguments)


def test_an_unknown_encoder_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean xception65"):
        xseg.create_encoder("xception_65")


def test_images_of_other_channels_are_refused(encoder_name):
    with pytest.raises(ShapeError, match=r"\[1, 4, 64, 64\].*\(N, 3, height, width\)"):
        small(encoder_name)(torch.zeros(1, 4, 64, 64))


def test_the_last_map_is_after_the_final_relu_and_the_taps_before_it(encoder_name, settled, waves):
    encoder = settled(small(encoder_name), waves(2, 3, 65, 65))
    features = encoder(waves(1, 3, 65, 65))
    assert float(features[-1].detach().min()) >= 0
    assert all(float(feature.detach().min()) < 0 for feature in features[1:-1])


def test_taps_are_the_second_separable_convolution_of_each_striding_block(encoder_name, waves):
    encoder = small(encoder_name).eval()
    seen = []
    for block in encoder.blocks:
        if block.tapped:
            block.convs[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    features = encoder(waves(1, 3, 65, 65))
    assert len(seen) == 4
    assert_close(features[1:-1], seen)


def test_checkpointing_changes_neither_gradients_nor_statistics(encoder_name, waves):
    images = waves(2, 3, 65, 65)
    results = []
    for enable in (False, True):
        encoder = small(encoder_name, output_stride=16).train()
        encoder.set_grad_checkpointing(enable)
        sum(feature.pow(2).mean() for feature in encoder(images)[1:]).backward()
        gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
        results.append((gradients, dict(encoder.named_buffers())))
    assert_close(results[0], results[1])


def test_checkpointing_keeps_fewer_activations(waves):
    def saved_bytes(enable):
        encoder = small("xception65").train()
        encoder.set_grad_checkpointing(enable)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            encoder(waves(1, 3, 65, 65))
        return sum(sizes)

    assert saved_bytes(True) < 0.5 * saved_bytes(False)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_input_channels(encoder_name, channels):
    encoder = small(encoder_name, in_channels=channels).eval()
    assert encoder(torch.zeros(1, channels, 64, 64))[0].shape[1] == channels
    assert encoder.out_channels[0] == channels


def test_width_scales_every_layer_to_a_multiple_of_8(encoder_name):
    encoder = xseg.create_encoder(encoder_name, width=0.3)
    widths = {m.out_channels for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)}
    assert all(width % 8 == 0 for width in widths)
    assert encoder.out_channels[-1] == 616  # 0.3 * 2048 = 614.4


@pytest.mark.parametrize("size", [(64, 65), (97, 96), (150, 150)])
def test_tf_same_halves_as_tensorflow_does(size):
    features = small("xception", padding="tf_same").eval()(torch.zeros(1, 3, *size))
    after_stem = [(side - 3) // 2 + 1 - 2 for side in size]
    for level, feature in enumerate(features[1:]):
        assert feature.shape[-2:] == tuple(math.ceil(side / 2**level) for side in after_stem)


def test_torchscript_gives_the_same_features(encoder_name, waves):
    encoder = small(encoder_name, output_stride=16).eval()
    images = waves(1, 3, 65, 97)
    with torch.no_grad():
        assert_close(torch.jit.script(encoder)(images), encoder(images))


@pytest.mark.slow
def test_strict_export_gives_the_same_features(encoder_name, waves):
    encoder = small(encoder_name, output_stride=8).eval()
    images = waves(1, 3, 64, 64)
    program = torch.export.export(encoder, (images,), strict=True)
    assert_close(program.module()(images), encoder(images))
