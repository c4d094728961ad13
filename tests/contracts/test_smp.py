"""SMP's encoder contract and all of its decoders, over every encoder."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders import encoders as smp_registry
from segmentation_models_pytorch.encoders import get_encoder
from torch.testing import assert_close

import xseg
from xseg.errors import ConfigError, WeightsError
from xseg.models.architectures import SMP_DECODERS

xseg.register_smp()

SIZES = {"pan": 128}  # PAN pools the last map three times


def smallest(architecture):
    return SIZES.get(architecture, 64)


def test_registering_again_changes_nothing():
    before = dict(smp_registry)
    xseg.register_smp()
    assert dict(smp_registry) == before
    assert {f"xseg-{name}" for name in xseg.list_encoders()} <= set(before)


def test_a_name_that_is_taken_is_refused(monkeypatch):
    monkeypatch.setitem(smp_registry, "xseg-xception", {"encoder": object, "params": {}, "pretrained_settings": {}})
    with pytest.raises(ConfigError, match="xseg-xception"):
        xseg.register_smp()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_smp_builds_an_encoder_of_any_depth_and_channels(encoder_name, depth, channels):
    encoder = get_encoder(f"xseg-{encoder_name}", in_channels=channels, depth=depth, weights=None).eval()
    with torch.no_grad():
        features = encoder(torch.rand(1, channels, 64, 64))
    assert len(features) == depth + 1
    assert [feature.shape[1] for feature in features] == list(encoder.out_channels)
    assert [64 // feature.shape[-1] for feature in features] == [2**level for level in range(depth + 1)]
    assert encoder.out_channels[0] == channels


@pytest.mark.parametrize("output_stride", [8, 16])
def test_smp_builds_a_dilated_encoder(encoder_name, output_stride):
    encoder = get_encoder(f"xseg-{encoder_name}", weights=None, output_stride=output_stride).eval()
    with torch.no_grad():
        features = encoder(torch.rand(1, 3, 64, 64))
    assert [64 // feature.shape[-1] for feature in features] == [min(2**i, output_stride) for i in range(6)]
    assert encoder.output_stride == output_stride


def test_dilating_after_building_is_refused():
    encoder = get_encoder("xseg-xception", weights=None)
    with pytest.raises(ConfigError, match=r"make_dilated\(8\)"):
        encoder.make_dilated(8)


@pytest.mark.parametrize("depth", [0, 6])
def test_smp_refuses_a_depth_out_of_range(encoder_name, depth):
    with pytest.raises(ValueError, match="depth"):
        get_encoder(f"xseg-{encoder_name}", depth=depth, weights=None)


@pytest.mark.parametrize("channels", [1, 6])
def test_pretrained_first_kernels_keep_their_response_to_grey_images(channels):
    encoder = get_encoder("xseg-xception41", weights=None)
    grey = torch.rand(1, 1, 33, 33)
    before = encoder.stem.conv1.conv(grey.expand(-1, 3, -1, -1))
    encoder.set_in_channels(channels, pretrained=True)
    after = encoder.stem.conv1.conv(grey.expand(-1, channels, -1, -1))
    assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert encoder.stem.conv1.conv.in_channels == channels


def test_smp_finds_every_encoders_imagenet_weights_on_the_hub(encoder_name):
    settings = smp_registry[f"xseg-{encoder_name}"]["pretrained_settings"]
    assert {"repo_id", "revision"} == set(settings["imagenet"])
    assert settings["imagenet"]["repo_id"].split("/")[0] in ("timm", "smp-hub")


@pytest.fixture(scope="module")
def cadene():
    """SMP's own Xception with batch normalisations of its own."""
    torch.manual_seed(0)
    network = get_encoder("xception", weights=None)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    return network


@pytest.mark.parametrize("depth", [2, 5])
def test_an_encoder_takes_the_state_of_another_project(cadene, depth):
    encoder = get_encoder("xseg-xception", depth=depth, weights=None)
    assert encoder.load_state_dict({**cadene.state_dict(), "fc.weight": torch.ones(2)}).missing_keys == []
    expected = xseg.create_encoder("xception", weights=cadene, depth=depth)
    assert encoder.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in expected.state_dict().items())
    numbers = {(part.eps, part.momentum) for part in encoder.modules() if isinstance(part, torch.nn.BatchNorm2d)}
    assert numbers == {(1e-5, 0.1)}
    encoder.set_in_channels(1, pretrained=True)
    assert_close(encoder.stem.conv1.conv.weight.detach(), cadene.conv1.weight.detach().sum(1, keepdim=True))


def test_a_state_that_does_not_fit_changes_nothing(cadene):
    encoder = get_encoder("xseg-xception", depth=2, weights=None)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = dict(cadene.state_dict())
    state["block12.rep.1.conv1.wait"] = state.pop("block12.rep.1.conv1.weight")
    for strict in (True, False):
        with pytest.raises(WeightsError, match=r"block12\.rep\.1\.conv1\.wait matches 0 rules"):
            encoder.load_state_dict(state, strict=strict)
    with pytest.raises(WeightsError, match="holds xception; expected xception41"):
        get_encoder("xseg-xception41", depth=2, weights=None).load_state_dict(cadene.state_dict())
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in before.items())


def test_an_encoder_takes_its_own_state_as_pytorch_does():
    one, other = (get_encoder("xseg-xception41", depth=2, weights=None) for _ in range(2))
    assert other.load_state_dict(one.state_dict()).unexpected_keys == []
    assert all(torch.equal(other.state_dict()[name], value) for name, value in one.state_dict().items())
    with pytest.raises(RuntimeError, match="more"):
        other.load_state_dict({**one.state_dict(), "more": torch.ones(1)})
    assert other.load_state_dict({**one.state_dict(), "more": torch.ones(1)}, strict=False).unexpected_keys == ["more"]


def test_smp_compiles_an_encoder():
    encoder = get_encoder("xseg-xception", depth=3, weights=None).eval()
    compiled = torch.compile(encoder, fullgraph=True, dynamic=True, backend="eager")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert_close(compiled(images), encoder(images))


@pytest.mark.slow
def test_every_encoder_compiles_as_one_graph(encoder_name):
    encoder = xseg.create_encoder(encoder_name, width=0.125, output_stride=16).eval()
    compiled = torch.compile(encoder, fullgraph=True, dynamic=True, backend="eager")
    with torch.inference_mode():
        for size in ((64, 64), (65, 97)):
            images = torch.rand(1, 3, *size)
            assert_close(compiled(images), encoder(images))


@pytest.mark.parametrize("architecture", SMP_DECODERS)
def test_every_decoder_works_through_smp_itself(architecture):
    decoder = SMP_DECODERS[architecture]
    network = getattr(smp, decoder.name)("xseg-xception41", encoder_weights=None, classes=2).eval()
    side = smallest(architecture)
    with torch.no_grad():
        assert network(torch.rand(1, 3, side, side)).shape == (1, 2, side, side)


@pytest.mark.parametrize("architecture", SMP_DECODERS)
def test_every_decoder_works_at_every_output_stride_that_it_allows(encoder_name, architecture):
    for output_stride in SMP_DECODERS[architecture].output_strides:
        arguments = {"encoder": encoder_name, "classes": 2, "output_stride": output_stride, "width": 0.125}
        if SMP_DECODERS[architecture].pyramid and output_stride < 32:
            with pytest.raises(ConfigError, match="output_stride"):
                xseg.create_model(architecture, **arguments)
            continue
        model = xseg.create_model(architecture, **arguments).eval()
        height, width = 65, 73
        with torch.no_grad():
            assert model(torch.rand(1, 3, height, width)).shape == (1, 2, height, width)
        assert model.encoder.output_stride == output_stride


@pytest.mark.parametrize("architecture", SMP_DECODERS)
def test_every_decoder_trains(architecture):
    model = xseg.create_model(architecture, encoder="xception", classes=2, width=0.125).train()
    side = smallest(architecture)
    model(torch.rand(2, 3, side, side)).pow(2).mean().backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters()) or architecture == "pspnet"


def test_the_factorys_model_computes_what_smps_does(settled, waves):
    theirs = settled(smp.Unet("xseg-xception41", encoder_weights=None, classes=3), waves(2, 3, 64, 64))
    ours = xseg.create_model("unet", encoder="xception41", classes=3).eval()
    ours.load_state_dict(theirs.state_dict())
    images = waves(1, 3, 64, 96)
    with torch.no_grad():
        assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(("depth", "strides"), [(3, (8, 16, 32)), (4, (16, 32))])
def test_a_pyramid_of_fewer_maps_allows_the_strides_it_reaches(depth, strides):
    for output_stride in (8, 16, 32):
        arguments = {"encoder": "xception", "classes": 1, "depth": depth, "output_stride": output_stride}
        if output_stride in strides:
            assert xseg.create_model("linknet", width=0.125, **arguments).eval()(torch.rand(1, 3, 64, 64)).ndim == 4
        else:
            with pytest.raises(ConfigError, match="output_stride=8"):
                xseg.create_model("linknet", width=0.125, **arguments)
