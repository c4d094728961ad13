from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from xseg.errors import ConfigError, MissingExtraError
from xseg.exporting.format import Format
from xseg.exporting.formats import FORMATS
from xseg.exporting.proof import compare, verify
from xseg.images.normalization import Normalization
from xseg.inference import backends
from xseg.inference.backends import FORMAT_OF, TorchBackend, create_backend, select_backend, select_precision
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def converted(tmp_path_factory):
    """Keep converted networks out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def make(settled, waves, **settings):
    torch.manual_seed(0)
    config = ModelConfig(**{"encoder": "xception", "classes": 4, "width": 0.125, "decoder_channels": 16, **settings})
    model = build_model(config)
    head = model.segmentation_head
    torch.nn.init.normal_(head.weight if isinstance(head, torch.nn.Conv2d) else head[0].weight)
    return settled(model, waves(2, 3, 65, 65))


@pytest.fixture(scope="module")
def model(settled, waves):
    return make(settled, waves, depth=3)


def create(model, backend, precision="float32"):
    options = InferenceOptions(backend=backend, precision=precision)
    return create_backend(CoarseNetwork(model), channels=3, device=CPU, options=options)


def available(name, *marks):
    """Return a backend's name if its packages are there, to run a test for every backend that is."""
    missing = [] if name == "torch" else FORMATS[FORMAT_OF[name]].missing_packages()
    return pytest.param(name, marks=[pytest.mark.skipif(bool(missing), reason=f"needs {missing}"), *marks])


@pytest.mark.parametrize(
    "name", [available("torch"), available("openvino"), available("onnxruntime", pytest.mark.slow)]
)
def test_every_backend_computes_the_network_at_every_size(model, waves, name):
    network, backend = CoarseNetwork(model), create(model, name)
    assert (backend.name, backend.precision) == (name, "float32")
    assert backend.workers >= 1
    for count, height, width in ((1, 33, 33), (3, 50, 131), (2, 160, 97)):
        images = waves(count, 3, height, width).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            expected = network(images)
        torch.testing.assert_close(backend(images), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def computes_bfloat16(name):
    """Return whether a backend rounds to bfloat16 here: OpenVINO stays in float32 on processors without it."""
    if name != "openvino":
        return True
    openvino = pytest.importorskip("openvino")
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("name", [available("torch"), available("openvino")])
def test_bfloat16_agrees_on_nearly_all_pixels(model, name):
    agreement = compare(create(model, name, "bfloat16"), CoarseNetwork(model), 3)
    assert agreement.labels > 0.9, "of a network with random weights, whose classes are close to each other"
    least = 1e-4 if computes_bfloat16(name) else 0.0
    assert least <= agreement.difference < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", [available("openvino")])
def test_other_decoders_convert_too(settled, waves, name):
    other = make(settled, waves, architecture="smp_deeplabv3plus", output_stride=16)
    settings = {"labels": LabelMap(tuple("abcd")), "normalization": Normalization()}
    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    plain = Predictor(other, **settings, options=InferenceOptions(device="cpu"))(image)
    quick = Predictor(other, **settings, options=InferenceOptions(device="cpu", backend=name))(image)
    np.testing.assert_allclose(quick.probabilities, plain.probabilities, atol=2e-3)


def test_torch_leaves_the_users_model_alone_and_does_not_follow_it(model, waves):
    images = waves(1, 3, 65, 65)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    backend = create(model, "torch", "bfloat16")
    backend(images)
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_backend_that_computes_something_else_is_refused_or_left_by_auto(model, monkeypatch):
    class Wrong(TorchBackend):
        name = "openvino"

        def __call__(self, images):
            return super().__call__(images).flip(1)

    network = CoarseNetwork(model)
    wrong = Wrong(network, device=CPU, precision="float32")
    with pytest.raises(ConfigError, match=r"backend=openvino in float32 differs from .*; use it not"):
        verify(wrong, network, 3, precision="float32", what="backend=openvino", remedy="use it not")

    monkeypatch.setattr(backends, "ConvertedBackend", lambda *_, **__: wrong)
    monkeypatch.setattr(Format, "missing_packages", lambda _: [])
    with pytest.warns(UserWarning, match=r"openvino is not used: .* differs from torch"):
        assert create(model, "auto").name == "torch"
    with pytest.raises(ConfigError, match=r"differs from torch.*; use --backend torch"):
        create(model, "openvino")


def test_auto_takes_the_fastest_that_is_installed(model, monkeypatch):
    def choose(*installed, precision="float32", device=CPU, network=model):
        monkeypatch.setattr(Format, "missing_packages", lambda form: [p for p in form.packages if p not in installed])
        return select_backend("auto", precision, device, network)

    assert choose("openvino", "onnx", "onnxruntime", "onnxscript") == "openvino"
    assert choose("onnx", "onnxruntime", "onnxscript") == "onnxruntime"
    assert choose("onnxruntime") == "torch", "without onnxscript nothing can be exported"
    assert choose("onnx", "onnxruntime", "onnxscript", precision="bfloat16") == "torch"
    assert choose("openvino", device=torch.device("cuda")) == "torch"
    assert choose("openvino", network=torch.nn.Identity()) == "torch"


def test_auto_is_bfloat16_only_where_hardware_and_backend_have_it(monkeypatch):
    monkeypatch.setattr(backends, "native_bfloat16", lambda _: True)
    assert select_precision("auto", "auto", CPU) == "bfloat16"
    assert select_precision("auto", "onnxruntime", CPU) == "float32"
    assert select_precision("float32", "auto", CPU) == "float32"
    monkeypatch.setattr(backends, "native_bfloat16", lambda _: False)
    assert select_precision("auto", "auto", CPU) == "float32"


def test_a_backend_that_cannot_be_is_refused(model):
    with pytest.raises(ConfigError, match="backend=openvino on cuda; expected device=cpu"):
        select_backend("openvino", "float32", torch.device("cuda"), model)
    with pytest.raises(ConfigError, match="backend=openvino for a Identity; expected a model of xseg"):
        select_backend("openvino", "float32", CPU, torch.nn.Identity())
    with pytest.raises(ConfigError, match="precision=bfloat16 with backend=onnxruntime; expected float32"):
        create(model, "onnxruntime", "bfloat16")


@pytest.mark.parametrize(("name", "extra"), [("openvino", "openvino"), ("onnxruntime", "onnx")])
def test_a_missing_package_is_told_with_its_extra(model, monkeypatch, name, extra):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'xseg\[{extra}\]'"):
        create(model, name)
