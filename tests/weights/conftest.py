"""Sources of weights that tests share: small to make, and of the right names and shapes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from xseg.models.config import ModelConfig
from xseg.models.factory import build_model

FAKES = Path(__file__).parents[1] / "fakes"
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def load_fake(name):
    if f"fakes_{name}" not in sys.modules:
        spec = importlib.util.spec_from_file_location(f"fakes_{name}", FAKES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"fakes_{name}"] = module
        spec.loader.exec_module(module)
    return sys.modules[f"fakes_{name}"]


@pytest.fixture(scope="session")
def fake():
    """Return the function that loads a module of tests/fakes."""
    return load_fake


class Recorder(dict):
    """Variables of the restated network by name, each filled with a number of its own."""

    def shapes(self, variant, classes):
        network = load_fake("tensorflow_zoo").restatement()
        table = network.Network.units(_Shapes(network.Options(variant=variant)))
        shapes = {}

        def norm(name, depth):
            for part in ("gamma", "beta", "moving_mean", "moving_variance"):
                shapes[f"{name}/BatchNorm/{part}"] = (depth,)

        def conv(name, inside, outside, size=1):
            shapes[f"{name}/weights"] = (size, size, inside, outside)
            norm(name, outside)

        def separable(name, inside, outside):
            shapes[f"{name}_depthwise/depthwise_weights"] = (3, 3, inside, 1)
            norm(f"{name}_depthwise", inside)
            conv(f"{name}_pointwise", inside, outside)

        conv(f"{variant}/entry_flow/conv1_1", 3, 32, 3)
        conv(f"{variant}/entry_flow/conv1_2", 32, 64, 3)
        inside = 64
        for unit in table:
            depth = inside
            for index, outside in enumerate(unit.depths, 1):
                separable(f"{unit.scope}/xception_module/separable_conv{index}", depth, outside)
                depth = outside
            if unit.skip == "conv":
                conv(f"{unit.scope}/xception_module/shortcut", inside, depth)
            inside = depth
        for name, outside in (("image_pooling", 2048), ("aspp0", 2048), ("concat_projection", 1280)):
            conv(name, outside, 256)
        for index in (1, 2, 3):
            separable(f"aspp{index}", 2048, 256)
        conv("decoder/feature_projection0", 256, 48)
        separable("decoder/decoder_conv0", 304, 256)
        separable("decoder/decoder_conv1", 256, 256)
        shapes["logits/semantic/weights"] = (1, 1, 256, classes)
        shapes["logits/semantic/biases"] = (classes,)
        return shapes


class _Shapes:
    def __init__(self, options):
        self.options = options


@pytest.fixture(scope="session")
def deeplab_tensors():
    """Return X-41 DeepLabV3+ as TF names and shapes it: every tensor constant, each with another value."""
    shapes = Recorder().shapes("xception_41", 21)
    return {
        name: np.full(sides, 0.5 + position / len(shapes), np.float32)
        for position, (name, sides) in enumerate(shapes.items())
    }


@pytest.fixture(scope="session")
def small_model():
    """Return a small model of this project with random weights."""
    torch.manual_seed(0)
    config = ModelConfig(encoder="xception41", width=0.125, decoder_channels=16, classes=5)
    return build_model(config).eval()
