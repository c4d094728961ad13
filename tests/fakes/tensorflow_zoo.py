"""Makes checkpoints and frozen graphs as TF DeepLab publishes them, with random weights, and runs them.

Needs TensorFlow, and nothing of this project but the restated network.

`python tensorflow_zoo.py FOLDER JSON`: JSON is a mapping of the restatement's options and "sizes": [[height,
width], ...], "output_strides", "average": with moving averages, "graph": write a frozen graph too. Writes model.ckpt.*,
and images-OS-HxW.npy with outputs-OS-HxW.npz.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).parents[2] / "xseg/weights/check/tensorflow_deeplab.py"


def restatement():
    """Load the restatement as a file of its own: the interpreter with TensorFlow has no torch."""
    spec = importlib.util.spec_from_file_location("tensorflow_deeplab", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tensorflow_deeplab"] = module
    spec.loader.exec_module(module)
    return module


class RandomVariables(dict):
    """Variables that come into being when they are asked for."""

    def __init__(self, seed=0):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def __call__(self, name, shape):
        if name not in self:
            self[name] = self.draw(name, shape).astype(np.float32)
        assert self[name].shape == tuple(shape), (name, self[name].shape, shape)
        return self[name]

    def draw(self, name, shape):
        kind = name.rsplit("/", 1)[1]
        if kind in ("gamma", "moving_variance"):
            return self.random.uniform(0.6, 1.4, shape)
        if kind in ("beta", "moving_mean", "biases"):
            return self.random.normal(0, 0.2, shape)
        fan = shape[0] * shape[1] * (1 if kind == "depthwise_weights" else shape[2])
        return self.random.normal(0, (1.6 / fan) ** 0.5, shape)


def training_states(variables, average):
    """Return what a training leaves beside the variables: momentum, a step, and averages in place of the variables."""
    extra = {"global_step": np.int64(30000)}
    for name, value in list(variables.items()):
        if name.endswith(("weights", "biases", "gamma", "beta")):
            extra[f"{name}/Momentum"] = np.full_like(value, 7)
            if average:
                extra[f"{name}/ExponentialMovingAverage"] = value
                variables[name] = np.full_like(value, 9)
    return extra


def main(folder, settings):
    import tensorflow as tf

    module = restatement()
    sizes = settings.pop("sizes", [[65, 65]])
    average, graph = settings.pop("average", False), settings.pop("graph", False)
    strides = settings.pop("output_strides", [settings.get("output_stride", 16)])
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    variables = RandomVariables()
    for stride in strides:
        options = module.Options(**{**settings, "output_stride": stride})
        if stride == 8 and options.atrous_rates:
            options = dataclasses.replace(options, atrous_rates=(12, 24, 36))
        for height, width in sizes:
            images = np.random.default_rng(1).uniform(-1, 1, (1, height, width, 3)).astype(np.float32)
            outputs = module.Network(options, variables).run(tf.constant(images))
            name = f"{stride}-{height}x{width}"
            np.savez(folder / f"outputs-{name}.npz", **{key: value.numpy() for key, value in outputs.items()})
            np.save(folder / f"images-{name}.npy", images)
    if graph:
        with tf.Graph().as_default() as frozen:
            constants = {}

            def constant(name, shape):
                if name not in constants:
                    constants[name] = tf.constant(variables(name, shape), name=name)
                return constants[name]

            module.Network(options, constant).run(tf.compat.v1.placeholder(tf.float32, images.shape))
        (folder / "frozen_inference_graph.pb").write_bytes(frozen.as_graph_def().SerializeToString())
    extra = training_states(variables, average)
    if settings.get("classes") == 0:
        extra[f"{options.variant}/logits/weights"] = np.zeros((1, 1, 2048, 1001), np.float32)
        extra[f"{options.variant}/logits/biases"] = np.zeros(1001, np.float32)
    names, values = zip(*sorted({**variables, **extra}.items()), strict=True)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"),
        tensor_names=list(names),
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value) for value in values],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
