"""Whatever the origin: one tensor lost, renamed, transposed or damaged is one line, and nothing is half loaded."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from segmentron import SegmenTron

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.errors import WeightsError
from xseg.weights.convert import convert
from xseg.weights.formats.source import Source
from xseg.weights.load import load_encoder_source

ORIGINS = ("cadene", "keras", "segmentron", "tensorflow", "timm")


def constants(state):
    """Return tensors of these shapes that take no memory."""
    return {name: torch.full((), 0.5).expand(tensor.shape) for name, tensor in state.items()}


def keras_names(layers):
    """Return LAYER/VARIABLE to shape, as the reader names them."""
    from xseg.weights.formats.keras_names import SHORTCUTS

    kinds = {"Conv2D": iter(SHORTCUTS.values()), "BatchNormalization": iter(SHORTCUTS.values())}
    names = {}
    for layer in layers:
        kind, name = type(layer).__name__, layer.name
        if name.startswith(("conv2d", "batch_normalization")):
            name = f"shortcut{next(kinds[kind])}" + "_bn" * (kind == "BatchNormalization")
        for weight in layer.weights:
            names[f"{name}/{weight.name}"] = torch.empty(tuple(weight.shape), device="meta")
    return names


@pytest.fixture(scope="module", params=ORIGINS)
def whole(request, deeplab_tensors):
    """All tensors of one origin, constant, under its own names."""
    if request.param == "tensorflow":
        return Source("file", {name: torch.from_numpy(value) for name, value in deeplab_tensors.items()})
    if request.param == "keras":
        os.environ.setdefault("KERAS_BACKEND", "torch")
        network = pytest.importorskip("keras").applications.Xception(weights=None, include_top=False)
        return Source("file", constants(keras_names(network.layers)))
    with torch.device("meta"):
        if request.param == "timm":
            network = pytest.importorskip("timm").create_model("xception41")
        elif request.param == "cadene":
            from segmentation_models_pytorch.encoders import get_encoder

            network = get_encoder("xception", weights=None)
        else:
            network = SegmenTron(19, 16)
    return Source("file", constants(network.state_dict()))


def test_the_whole_converts(whole, request):
    conversion = convert(whole)
    assert conversion.plan.origin == request.node.callspec.params["whole"]
    assert conversion.encoder_state()


def refusal(source, name):
    """Return the one line that refuses a source, for an encoder that stays as it was."""
    encoder = XceptionEncoder(encoder_spec(name), depth=1)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_encoder_source(encoder, source)
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def encoder(whole):
    """The name of the encoder."""
    return convert(whole).encoder


@pytest.fixture(scope="module")
def kernel(whole, encoder):
    """The source's name of a pointwise kernel near the encoder's end, which is not square."""
    last = len(encoder_spec(encoder).stages) - 2
    return convert(whole).claims.used[f"encoder.blocks.{last}.convs.1.pointwise.weight"]


def changed(whole, **tensors):
    return replace(whole, tensors={**whole.tensors, **tensors})


def test_a_lost_tensor_is_named(whole, encoder, kernel):
    text = refusal(replace(whole, tensors={name: t for name, t in whole.tensors.items() if name != kernel}), encoder)
    assert "missing blocks." in text
    assert "convs.1.pointwise.weight" in text


def test_a_renamed_tensor_is_named(whole, encoder, kernel):
    tensors = {name + "s" * (name == kernel): tensor for name, tensor in whole.tensors.items()}
    assert f"{kernel}s matches 0 rules" in refusal(replace(whole, tensors=tensors), encoder)


def test_a_transposed_tensor_is_named_with_both_shapes(whole, encoder, kernel):
    tensor = whole.tensors[kernel]
    first, second = (axis for axis, side in enumerate(tensor.shape) if side > 1)
    text = refusal(changed(whole, **{kernel: tensor.transpose(first, second)}), encoder)
    assert f"{kernel} has shape [" in text
    assert ", expected [" in text


def test_one_nan_is_named(whole, encoder, kernel):
    tensor = whole.tensors[kernel].clone()
    tensor.view(-1)[7] = float("nan")
    text = refusal(changed(whole, **{kernel: tensor}), encoder)
    assert f"{kernel} has 1 of {tensor.numel()} values that are not finite" in text
