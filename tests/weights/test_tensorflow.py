"""TensorFlow's files are read without TensorFlow, and the network they hold computes what TensorFlow computes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_zoo
import torch
from tensorflow_writer import write_checkpoint, write_graph

from xseg.errors import WeightsError
from xseg.models.build import build_model
from xseg.weights.convert import convert
from xseg.weights.formats.read import read_source


def interpreter():
    """Return an interpreter that has TensorFlow: XSEG_TENSORFLOW_PYTHON, or this one; None if neither has."""
    chosen = os.environ.get("XSEG_TENSORFLOW_PYTHON")
    return chosen or (sys.executable if importlib.util.find_spec("tensorflow") else None)


@pytest.mark.parametrize("form", ["checkpoint", "shards", "graph"])
def test_every_tensor_of_a_model_has_its_place(deeplab_tensors, deeplab_checkpoint, tmp_path, form):
    path = deeplab_checkpoint if form == "checkpoint" else tmp_path / "frozen_inference_graph.pb"
    if form == "graph":
        write_graph(path, deeplab_tensors)
    if form == "shards":
        path = tmp_path / "model.ckpt"
        write_checkpoint(path, deeplab_tensors, shards=3)
    conversion = convert(read_source(path))
    with torch.device("meta"):
        wanted = build_model(conversion.config).state_dict()
    state = conversion.model_state(wanted)
    assert len(conversion.claims.used) == len(deeplab_tensors)
    for ours, theirs in conversion.claims.used.items():
        assert float(state[ours].flatten()[0]) == deeplab_tensors[theirs].flat[0], (ours, theirs)


def test_momentum_and_steps_are_left_out_and_averages_taken(deeplab_tensors, tmp_path):
    name = "xception_41/entry_flow/conv1_1/weights"
    tensors = {key: value for key, value in deeplab_tensors.items() if key == name or "BatchNorm" in key}
    tensors[f"{name}/ExponentialMovingAverage"] = np.full_like(tensors[name], 42)
    tensors[f"{name}/Momentum"] = np.full_like(tensors[name], 7)
    tensors["global_step"] = np.array(30000, np.int64)
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    conversion = convert(read_source(tmp_path / "model.ckpt.index"))
    assert float(conversion.claims.state["encoder.stem.conv1.conv.weight"].mean()) == 42
    assert sorted(conversion.claims.dropped) == ["global_step", name, f"{name}/Momentum"]


def test_known_numbers_of_classes_bring_names_and_colours(deeplab_tensors, tmp_path):
    tensors = dict(deeplab_tensors)
    for classes, first, color in (
        (21, "background", (0, 0, 0)),
        (19, "road", (128, 64, 128)),
        (151, "background", None),
    ):
        tensors["logits/semantic/weights"] = np.ones((1, 1, 256, classes), np.float32)
        tensors["logits/semantic/biases"] = np.ones(classes, np.float32)
        write_graph(tmp_path / "frozen_inference_graph.pb", tensors)
        labels = convert(read_source(tmp_path)).plan.labels
        assert (len(labels), labels.names[0]) == (classes, first)
        assert color in (None, labels.colors[0])


def test_parts_that_the_checkpoint_lacks_are_not_built(deeplab_tensors, tmp_path):
    tensors = {name: value for name, value in deeplab_tensors.items() if "decoder/" not in name}
    write_graph(tmp_path / "g.pb", tensors)
    config = convert(read_source(tmp_path / "g.pb")).config
    assert (config.aspp, config.image_pooling, config.decoder) == (True, True, False)


def test_an_encoder_of_imagenet_leaves_its_classifier_out(deeplab_tensors, tmp_path):
    tensors = {name: value for name, value in deeplab_tensors.items() if name.startswith("xception_41/")}
    tensors["xception_41/logits/weights"] = np.ones((1, 1, 2048, 1001), np.float32)
    tensors["xception_41/logits/biases"] = np.ones(1001, np.float32)
    write_graph(tmp_path / "g.pb", tensors)
    conversion = convert(read_source(tmp_path / "g.pb"))
    assert set(conversion.claims.dropped) == {"xception_41/logits/weights", "xception_41/logits/biases"}
    assert len(conversion.encoder_state()) > 400
    with pytest.raises(WeightsError, match="holds only an encoder"):
        _ = conversion.config


def test_a_dense_prediction_cell_is_refused_with_the_reason(deeplab_tensors, tmp_path):
    tensors = {**deeplab_tensors, "meta_architecture/branch0/weights": np.ones((1, 1, 2048, 256), np.float32)}
    write_graph(tmp_path / "g.pb", tensors)
    with pytest.raises(WeightsError, match="dense prediction cell"):
        convert(read_source(tmp_path / "g.pb"))


@pytest.mark.slow
@pytest.mark.skipif(interpreter() is None, reason="no TensorFlow: XSEG_TENSORFLOW_PYTHON names an interpreter with it")
@pytest.mark.parametrize(
    "settings",
    [
        {"variant": "xception_41", "average": True},
        {"variant": "xception_71", "multi_grid": [1, 2, 4], "graph": True, "classes": 19},
        {"variant": "xception_41", "decoder": False, "image_pooling": False, "classes": 7},
    ],
    ids=["x41", "x71-multi-grid-graph", "x41-no-decoder"],
)
def test_tensorflow_computes_the_same(tmp_path, settings):
    sizes, strides = [[65, 65], [64, 96]], [16, 8]
    command = [interpreter(), tensorflow_zoo.__file__, str(tmp_path)]
    given = json.dumps({**settings, "sizes": sizes, "output_strides": strides})
    # Keras over torch, which other tests choose, and TensorFlow abort when they are loaded into one process.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run([*command, given], check=True, capture_output=True, timeout=600, env=environment)
    conversion = convert(read_source(tmp_path / ("frozen_inference_graph.pb" if "graph" in settings else "model.ckpt")))
    with torch.device("meta"):
        wanted = build_model(conversion.config).state_dict()
    state = conversion.model_state(wanted)
    for stride in strides:
        with torch.device("meta"):
            model = build_model(conversion.config.at_output_stride(stride))
        model.load_state_dict(state, assign=True)
        model.eval()
        for height, width in sizes:
            stem = f"{stride}-{height}x{width}"
            images = torch.from_numpy(np.load(tmp_path / f"images-{stem}.npy")).permute(0, 3, 1, 2)
            with torch.inference_mode():
                ours = {
                    **{str(level): map_ for level, map_ in enumerate(model.encoder(images))},
                    "logits": model(images),
                }
            outputs = np.load(tmp_path / f"outputs-{stem}.npz")
            assert {*outputs.files} == {"1", "2", "3", "4", "5", "logits"}
            for name in outputs.files:
                theirs = torch.from_numpy(outputs[name]).permute(0, 3, 1, 2)
                assert float((ours[name] - theirs).abs().max() / theirs.abs().max()) < 1e-4, (stem, name)
