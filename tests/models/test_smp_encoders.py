"""Every encoder of SMP works under every decoder, where it can, and is refused in one line where it cannot."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch.testing import assert_close

import xseg
from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

# A residual network, a mobile one, one with floored maps, a transformer, and timm's: small ones of two families.
ENCODERS = ["resnet18", "mobilenet_v2", "efficientnet-b0", "mit_b0", "tu-test_convnext", "tu-mobilenetv3_small_050"]
STRIDES = {"deeplabv3plus": (8, 16, 32), "unet": (16, 32), "fpn": (32,)}
CASES = [(architecture, stride) for architecture, strides in STRIDES.items() for stride in strides]


def make(encoder, architecture="deeplabv3plus", **settings):
    torch.manual_seed(0)
    return xseg.create_model(architecture, encoder=encoder, **{"classes": 3, "decoder_channels": 16, **settings}).eval()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("architecture", "output_stride"), CASES)
def test_logits_have_the_size_of_the_image(encoder, architecture, output_stride):
    model = make(encoder, architecture, output_stride=output_stride)
    with torch.no_grad():
        assert model(torch.rand(1, 3, 97, 129)).shape == (1, 3, 97, 129)
    assert model.encoder.strides[-1] == model.encoder.output_stride == output_stride
    assert model.encoder.out_channels[0] == 3


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_bundle_brings_back_the_same_predictor(encoder, tmp_path):
    model = make(encoder, in_channels=2, classes=2)
    bundle = Bundle(model, LabelMap(("a", "b")), Normalization.for_channels(2))
    before = torch.random.get_rng_state()
    again = load_bundle(save_bundle(bundle, tmp_path / "bundle"))
    assert torch.equal(torch.random.get_rng_state(), before), "loading draws no random numbers"
    assert again.model.config == model.config
    assert not any(tensor.is_meta for tensor in (*again.model.parameters(), *again.model.buffers()))
    image = np.random.default_rng(0).integers(0, 256, (40, 57, 2), np.uint8)
    options = InferenceOptions(device="cpu")
    expected = Predictor.from_bundle(bundle, options)(image)
    np.testing.assert_array_equal(Predictor.from_bundle(again, options)(image).probabilities, expected.probabilities)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_predictor_answers_as_the_model_does(encoder, waves):
    model = make(encoder)
    images = waves(1, 3, 97, 129)
    pixels = ((images[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    with torch.no_grad():
        expected = model(pixels.permute(2, 0, 1)[None] / 127.5 - 1).softmax(dim=1)[0]
    predictor = Predictor(model, labels=LabelMap(tuple("abc")), normalization=Normalization())
    assert_close(torch.from_numpy(predictor(pixels.numpy()).probabilities), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_another_output_stride_shares_the_weights(encoder):
    model = make(encoder, output_stride=16)
    dense = model.with_output_stride(8)
    assert dense.encoder.strides[-1] == 8
    ours, theirs = dict(model.named_parameters()), dict(dense.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)
    with torch.no_grad():
        assert dense(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_of_the_last_map_learns(encoder):
    model = make(encoder).train()
    model(torch.rand(2, 3, 65, 65)).square().mean().backward()
    assert sum(parameter.grad is not None for parameter in model.encoder.parameters()) > 10
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_maps_of_an_aligned_encoder_are_not_padded():
    assert make("resnet18").multiple == 1
    assert make("resnet18").stride == 4
    assert (make("efficientnet-b0").multiple, make("efficientnet-b0").stride) == (32, 1)
    assert make("efficientnet-b0", depth=4, output_stride=16).multiple == 16


def test_smps_weights_fit_under_their_own_names(settled, waves):
    theirs = settled(smp.Unet("resnet18", encoder_weights=None, classes=3), waves(2, 3, 64, 64))
    ours = make("resnet18", "unet")
    ours.load_state_dict(theirs.state_dict())
    images = waves(1, 3, 64, 96)
    with torch.no_grad():
        assert_close(ours(images), theirs(images))


def test_numbers_of_the_normalisations_come_from_the_configuration():
    config = ModelConfig(encoder="resnet18", encoder_norm_eps=1e-4, encoder_norm_momentum=0.03, decoder_channels=16)
    norms = [part for part in build_model(config).encoder.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-4, 0.03)}


def test_create_encoder_takes_smps_names():
    encoder = xseg.create_encoder("resnet18", in_channels=4, output_stride=16, depth=5).eval()
    with torch.no_grad():
        maps = encoder(torch.rand(1, 4, 65, 97))
    assert [features.shape[1] for features in maps] == encoder.out_channels
    assert [features.shape[2] for features in maps] == [-(-65 // stride) for stride in encoder.strides]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"encoder": "resnet43"}, "encoder 'resnet43'; expected one of xception.*did you mean resnet34"),
        ({"encoder": "xception64"}, "did you mean xception65"),
        ({"encoder": "tu-nothing"}, r"Unknown model \(nothing\)"),
        ({"encoder": "tu-hf-hub:somebody/something"}, "encoder 'tu-hf-hub:somebody/something'; expected one of"),
        ({"encoder": "tu-test_vit"}, "Unsupported model downsampling pattern"),
        (
            {"encoder": "resnet18", "output_stride": 4},
            "output_stride=4 with encoder 'resnet18'; expected 8 or 16 or 32",
        ),
        ({"encoder": "densenet121", "output_stride": 16}, "output_stride=16 .*; expected 32"),
        ({"encoder": "resnet18", "width": 0.5}, "width=0.5 with SMP's encoder 'resnet18'; expected 1.0, the default"),
        ({"encoder": "resnet18", "padding": "tf_same"}, "padding=tf_same"),
        ({"encoder": "resnet18", "multi_grid": (1, 2, 4)}, "multi_grid="),
        ({"encoder": "resnet18", "ablation": xseg.Ablation(segments=2)}, "ablation="),
        ({"architecture": "linknet", "encoder": "mit_b0"}, "linknet with encoder 'mit_b0': Encoder"),
        ({"architecture": "fpn", "encoder": "resnet18", "output_stride": 16}, "output_stride=16 with fpn"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(settings, said):
    with pytest.raises(ConfigError, match=said) as caught:
        xseg.create_model(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["import xseg", "import xseg; xseg.create_encoder('xception41', width=0.125)"])
def test_smp_is_imported_for_its_own_encoders_alone(program):
    code = f"{program}; import sys; sys.exit('segmentation_models_pytorch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
