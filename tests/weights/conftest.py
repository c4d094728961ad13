"""Sources of weights that tests share: small to make, and of the right names and shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensorflow_writer import write_checkpoint
from tensorflow_zoo import restatement

from xseg.models.build import build_model
from xseg.models.config import ModelConfig


class Recorder(dict):
    """Variables of the restated network by name, each filled with a number of its own."""

    def shapes(self, variant, classes):
        network = restatement()
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
    """Return X-41 DeepLabV3+ on VOC as TF names and shapes it: every tensor constant, each with another value.

    In the head, every row has its class's number, every bias that and 100.
    """
    shapes = Recorder().shapes("xception_41", 21)
    tensors = {
        name: np.full(sides, 0.5 + position / len(shapes), np.float32)
        for position, (name, sides) in enumerate(shapes.items())
    }
    tensors["logits/semantic/weights"] = np.tile(np.arange(21, dtype=np.float32), (1, 1, 256, 1))
    tensors["logits/semantic/biases"] = 100 + np.arange(21, dtype=np.float32)
    return tensors


@pytest.fixture(scope="session")
def deeplab_checkpoint(deeplab_tensors, tmp_path_factory):
    """Return the shared part of the names of a checkpoint with these tensors."""
    path = tmp_path_factory.mktemp("zoo") / "model.ckpt"
    write_checkpoint(path, deeplab_tensors)
    return path


@pytest.fixture(scope="session")
def small_model():
    """Return a small model of this project with random weights."""
    torch.manual_seed(0)
    config = ModelConfig(encoder="xception41", width=0.125, decoder_channels=16, classes=5)
    return build_model(config).eval()
