"""Weights of PyTorch projects and of bonlime compute here what they compute there."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.models.factory import build_model
from xseg.weights.check.compare import compare
from xseg.weights.check.originals import original_runner
from xseg.weights.convert import convert
from xseg.weights.read import read_source

FAKES = Path(__file__).parents[1] / "fakes"
SIZES = ((65, 65), (64, 96))


def fake(name):
    spec = importlib.util.spec_from_file_location(name, FAKES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def randomize(module, seed=0):
    """Give normalisations statistics that differ from 0 and 1, so that none can be mistaken for another."""
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.6, 1.4)
            nn.init.normal_(part.bias, 0, 0.2)
            nn.init.normal_(part.running_mean, 0, 0.2)
            nn.init.uniform_(part.running_var, 0.6, 1.4)
    return module.eval()


def encoder_runner(conversion, padding="symmetric"):
    state = conversion.encoder_state()

    def run(images, stride):
        spec = replace(encoder_spec(conversion.encoder), batch_norm=conversion.norm)
        with torch.device("meta"):
            encoder = XceptionEncoder(spec, output_stride=stride, padding=padding)
        encoder.load_state_dict(state, assign=True)
        return {str(level): value for level, value in enumerate(encoder.eval()(images)) if level}

    return run


def model_runner(conversion):
    with torch.device("meta"):
        wanted = build_model(conversion.config).state_dict()
    state = conversion.model_state(wanted)

    def run(images, stride):
        with torch.device("meta"):
            model = build_model(conversion.config.at_output_stride(stride))
        model.load_state_dict(state, assign=True)
        maps = {str(level): value for level, value in enumerate(model.eval().encoder(images)) if level}
        return {**maps, "logits": model(images)}

    return run


def assert_equal(differences, outputs):
    assert {one.name for one in differences} == set(outputs)
    assert max(one.relative for one in differences) < 1e-4


TAPS = {"1", "2", "3", "4", "5"}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("xception41", marks=SLOW),
        pytest.param("xception65", marks=SLOW),
        "xception71",
        "xception41p",
        pytest.param("xception65p", marks=SLOW),
    ],
)
def test_timm_computes_the_same(name, tmp_path):
    timm = pytest.importorskip("timm")
    network = randomize(timm.create_model(name))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    conversion = convert(read_source(tmp_path / "model.safetensors"))
    assert conversion.encoder == name
    assert {*conversion.dropped} == {"head.fc.weight", "head.fc.bias"}
    original, strides, _ = original_runner(conversion)
    assert_equal(compare(encoder_runner(conversion), original, strides=strides, sizes=SIZES), TAPS)


def test_timm_is_the_same_live_and_from_every_file(tmp_path):
    timm = pytest.importorskip("timm")
    network = randomize(timm.create_model("xception41p"))
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "a.pth"
    )
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    live = convert(read_source(network))
    assert live.norm.eps == 1e-5
    for path in ("a.pth", "a.safetensors"):
        other = convert(read_source(tmp_path / path)).encoder_state()
        assert all(torch.equal(other[name], tensor) for name, tensor in live.encoder_state().items())


def test_a_live_models_own_epsilon_is_taken():
    timm = pytest.importorskip("timm")
    network = timm.create_model("xception41")
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.005
    assert convert(read_source(network)).norm.eps == 0.005


@pytest.fixture(scope="module")
def cadene():
    from segmentation_models_pytorch.encoders import get_encoder

    return randomize(get_encoder("xception", weights=None))


@pytest.mark.parametrize("matrices", [pytest.param(False, marks=SLOW), True])
def test_cadene_computes_the_same_with_pointwise_kernels_of_two_axes_too(cadene, matrices, tmp_path):
    state = {
        **cadene.state_dict(),
        "last_linear.weight": torch.zeros(1000, 2048),
        "last_linear.bias": torch.zeros(1000),
    }
    if matrices:
        state = {key: value[:, :, 0, 0] if key.endswith("pointwise.weight") else value for key, value in state.items()}
        state = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    torch.save(state, tmp_path / "xception.pth")
    conversion = convert(read_source(tmp_path / "xception.pth"))
    assert (conversion.plan.origin, conversion.norm.eps) == ("cadene", 1e-5)
    original, strides, _ = original_runner(conversion)
    assert_equal(compare(encoder_runner(conversion), original, strides=strides, sizes=SIZES), TAPS)


@SLOW
def test_timms_legacy_xception_computes_the_same_where_its_pools_meet_odd_sizes(cadene):
    """It has Keras's VALID stem and symmetric pools: 296 leaves every pool an odd size, where SAME is symmetric."""
    timm = pytest.importorskip("timm")
    network = timm.create_model("legacy_xception").eval()
    network.load_state_dict(cadene.state_dict(), strict=False)
    conversion = convert(read_source(network))
    images = torch.randn(1, 3, 296, 296)
    with torch.inference_mode():
        theirs = network.forward_features(images)
        ours = encoder_runner(conversion, "tf_same")(images, 32)["5"]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_live_smp_models_give_their_encoder(cadene):
    import segmentation_models_pytorch as smp

    network = smp.Unet("xception", encoder_weights=None)
    network.encoder.load_state_dict(cadene.state_dict())
    converted, alone = convert(read_source(network)), convert(read_source(cadene))
    assert all(torch.equal(converted.encoder_state()[name], tensor) for name, tensor in alone.encoder_state().items())
    assert set(converted.dropped.values()) == {"the decoder of another project, which taps other maps"}


def test_live_smp_models_over_timm_give_their_encoder():
    import segmentation_models_pytorch as smp

    pytest.importorskip("timm")
    network = smp.Unet("tu-xception41", encoder_weights=None)
    conversion = convert(read_source(network))
    assert conversion.encoder == "xception41"
    first = network.encoder.state_dict()
    assert any(torch.equal(conversion.encoder_state()["stem.conv1.conv.weight"], value) for value in first.values())


@pytest.mark.parametrize("stride", [16, pytest.param(8, marks=SLOW)])
def test_segmentron_computes_the_same_as_a_whole(stride, tmp_path):
    module = fake("segmentron")
    network = randomize(module.SegmenTron(19, stride))
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, tmp_path / "segmentron.pth")
    conversion = convert(read_source(tmp_path / "segmentron.pth"))
    assert conversion.plan.labels.names[0] == "road"
    differences = compare(model_runner(conversion), lambda x, _: network(x), strides=(stride,), sizes=SIZES)
    assert_equal(differences, {*TAPS, "logits"})


@SLOW
def test_segmentrons_encoder_alone(tmp_path):
    network = randomize(fake("segmentron").Encoder(32))
    torch.save(network.state_dict(), tmp_path / "xception65_segmentron.pth")
    conversion = convert(read_source(tmp_path / "xception65_segmentron.pth"))
    original = lambda x, _: {str(level): value for level, value in enumerate(network(x), 1)}  # noqa: E731
    assert_equal(compare(encoder_runner(conversion), original, strides=(32,), sizes=SIZES), TAPS)


@pytest.mark.parametrize("stride", [pytest.param(16, marks=SLOW), 8])
def test_bonlime_computes_the_same_as_a_whole(stride, tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    pytest.importorskip("h5py")
    network = fake("bonlime").Bonlime(21, stride)
    network.randomize()
    network.save(tmp_path / "deeplab.h5")
    conversion = convert(read_source(tmp_path / "deeplab.h5"))
    assert conversion.config.padding == "tf_same"

    def original(images, _stride):
        outputs = network(images.permute(0, 2, 3, 1).numpy())
        return {name: torch.from_numpy(value).permute(0, 3, 1, 2) for name, value in outputs.items()}

    assert_equal(compare(model_runner(conversion), original, strides=(stride,), sizes=SIZES), {*TAPS, "logits"})
