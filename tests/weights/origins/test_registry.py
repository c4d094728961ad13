"""Weights of PyTorch projects and of bonlime compute here what they compute there."""

from __future__ import annotations

import os

import pytest
import torch
from runners import encoder_runner, model_runner, randomize
from safetensors.torch import save_file
from segmentron import Encoder, SegmenTron
from torch import nn

from xseg.weights.check.compare import compare
from xseg.weights.check.originals import original_runner
from xseg.weights.convert import convert
from xseg.weights.formats.read import read_source
from xseg.weights.formats.source import Source

SIZES = ((65, 65), (64, 96))
ODD, EVEN = SIZES[:1], SIZES[1:]


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
    assert {*conversion.claims.dropped} == {"head.fc.weight", "head.fc.bias"}
    original, strides, _ = original_runner(conversion)
    sizes = SIZES if name == "xception71" else EVEN
    assert_equal(compare(encoder_runner(conversion), original, strides=strides, sizes=sizes), TAPS)


def test_timm_is_the_same_live_and_from_every_file(tmp_path):
    timm = pytest.importorskip("timm")
    network = randomize(timm.create_model("xception41p"))
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "a.pth"
    )
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    live = convert(read_source(network))
    assert live.plan.norm.eps == 1e-5
    for path in ("a.pth", "a.safetensors"):
        other = convert(read_source(tmp_path / path)).encoder_state()
        assert all(torch.equal(other[name], tensor) for name, tensor in live.encoder_state().items())


def test_a_live_models_own_epsilon_is_taken():
    timm = pytest.importorskip("timm")
    network = timm.create_model("xception41")
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.005
    assert convert(read_source(network)).plan.norm.eps == 0.005


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
    assert (conversion.plan.origin, conversion.plan.norm.eps) == ("cadene", 1e-5)
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
    converted = convert(read_source(network))
    state, alone = converted.encoder_state(), convert(read_source(cadene)).encoder_state()
    assert all(torch.equal(state[name], tensor) for name, tensor in alone.items())
    assert set(converted.claims.dropped.values()) == {"another project's decoder, which uses other feature maps"}


def test_live_smp_models_over_timm_give_their_encoder():
    import segmentation_models_pytorch as smp

    pytest.importorskip("timm")
    network = smp.Unet("tu-xception41", encoder_weights=None)
    conversion = convert(read_source(network))
    assert conversion.encoder == "xception41"
    first = conversion.encoder_state()["stem.conv1.conv.weight"]
    assert any(torch.equal(first, value) for value in network.encoder.state_dict().values())


@pytest.mark.parametrize(("stride", "sizes"), [(16, EVEN), pytest.param(8, ODD, marks=SLOW)])
def test_segmentron_computes_the_same_as_a_whole(stride, sizes, tmp_path):
    network = randomize(SegmenTron(19, stride))
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, tmp_path / "segmentron.pth")
    conversion = convert(read_source(tmp_path / "segmentron.pth"))
    assert conversion.plan.labels.names[0] == "road"
    differences = compare(model_runner(conversion), lambda x, _: network(x), strides=(stride,), sizes=sizes)
    assert_equal(differences, {*TAPS, "logits"})


@SLOW
def test_segmentrons_encoder_alone(tmp_path):
    network = randomize(Encoder(32))
    torch.save(network.state_dict(), tmp_path / "xception65_segmentron.pth")
    conversion = convert(read_source(tmp_path / "xception65_segmentron.pth"))
    original = lambda x, _: {str(level): value for level, value in enumerate(network(x), 1)}  # noqa: E731
    assert_equal(compare(encoder_runner(conversion), original, strides=(32,), sizes=EVEN), TAPS)


@pytest.mark.parametrize(("stride", "sizes"), [pytest.param(16, EVEN, marks=SLOW), (8, ODD)])
def test_bonlime_computes_the_same_as_a_whole(stride, sizes, tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    pytest.importorskip("h5py")
    from bonlime import Bonlime

    network = Bonlime(21, stride)
    network.randomize()
    network.save(tmp_path / "deeplab.h5")
    conversion = convert(read_source(tmp_path / "deeplab.h5"))
    assert conversion.config.padding == "tf_same"
    inside = {name: value for name, value in conversion.source.tensors.items() if "_flow_" in name}
    alone = convert(Source("its encoder", inside))
    assert alone.plan.config is None
    assert alone.encoder_state().keys() == conversion.encoder_state().keys()

    def original(images, _stride):
        outputs = network(images.permute(0, 2, 3, 1).numpy())
        return {name: torch.from_numpy(value).permute(0, 3, 1, 2) for name, value in outputs.items()}

    assert_equal(compare(model_runner(conversion), original, strides=(stride,), sizes=sizes), {*TAPS, "logits"})
