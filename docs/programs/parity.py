"""Write docs/parity.md: compare the network of every origin with ours on the same images, with random weights.

`python docs/programs/parity.py [--tensorflow PYTHON] [--output FILE] [--only NAME]`. PYTHON is an interpreter that has
TensorFlow; it may be this one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests/fakes")
)  # reimplementations of networks that are in no package

import numpy as np
import torch
from bonlime import Bonlime
from runners import encoder_runner, model_runner, randomize
from segmentron import SegmenTron

from xseg.weights.check.compare import Difference, compare
from xseg.weights.check.originals import original_runner
from xseg.weights.convert import convert
from xseg.weights.formats.read import read_source

FAKES = Path(__file__).parents[2] / "tests/fakes"
SIZES = ((513, 513), (384, 512))
OUTPUTS = ("1", "2", "3", "4", "5", "logits")
TENSORFLOW = {
    "X-41, DeepLabV3+, 21 classes": {"variant": "xception_41"},
    "X-65, DeepLabV3+, 21 classes": {"variant": "xception_65", "average": True},
    "X-71, DeepLabV3+, 19 classes": {"variant": "xception_71", "classes": 19},
    "X-65, frozen graph, multi-grid (1, 2, 4)": {"variant": "xception_65", "multi_grid": [1, 2, 4], "graph": True},
    "X-65, no decoder": {"variant": "xception_65", "decoder": False},
    "X-65, no image pooling, 151 classes": {"variant": "xception_65", "image_pooling": False, "classes": 151},
    "X-41, no ASPP": {"variant": "xception_41", "aspp": False, "image_pooling": False, "atrous_rates": []},
    "X-65, encoder of ImageNet": {"variant": "xception_65", "classes": 0},
}


def tensorflow_rows(python, only):
    version = subprocess.run(
        [python, "-c", "import tensorflow; print(tensorflow.__version__)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for title, settings in TENSORFLOW.items():
        if only and only not in title:
            continue
        with tempfile.TemporaryDirectory() as folder:
            settings = {**settings, "sizes": SIZES, "output_strides": [16, 8]}
            command = [python, str(FAKES / "tensorflow_zoo.py"), folder, json.dumps(settings)]
            # Keras over torch, which this process has, and TensorFlow abort when they are loaded into one process.
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
            subprocess.run(command, check=True, capture_output=True, env=environment)
            path = Path(folder) / ("frozen_inference_graph.pb" if settings.get("graph") else "model.ckpt")
            conversion = convert(read_source(path))
            ours = model_runner(conversion) if conversion.plan.config else encoder_runner(conversion)
            differences = []
            for stride in (16, 8):
                for size in SIZES:
                    stem = f"{stride}-{size[0]}x{size[1]}"
                    images = torch.from_numpy(np.load(Path(folder) / f"images-{stem}.npy")).permute(0, 3, 1, 2)
                    outputs = np.load(Path(folder) / f"outputs-{stem}.npz")
                    with torch.inference_mode():
                        own = ours(images, stride)
                    for name in outputs.files:
                        theirs = torch.from_numpy(outputs[name]).permute(0, 3, 1, 2)
                        relative = float((own[name] - theirs).abs().max() / theirs.abs().max())
                        differences.append(Difference(size, stride, name, relative))
            yield "TF DeepLab", title, f"TensorFlow {version}", differences


def timm_rows(only):
    import timm

    for name in ("xception41", "xception65", "xception71", "xception41p", "xception65p"):
        if only and only not in name:
            continue
        conversion = convert(read_source(randomize(timm.create_model(name))))
        original, strides, reference = original_runner(conversion)
        yield "timm", name, reference, compare(encoder_runner(conversion), original, strides=strides, sizes=SIZES)


def original_xception_rows(only):
    """Compare ours at strides 32, 16 and 8 with Keras's and Cadene's, which exist only at 32, at the shared pixels."""
    from segmentation_models_pytorch.encoders import get_encoder

    def dense(conversion, padding):
        runner = encoder_runner(conversion, padding, subsampled_to=32)
        original, _, reference = original_runner(conversion)
        return compare(runner, original, strides=(32, 16, 8), sizes=SIZES), reference

    if not only or only in "cadene":
        conversion = convert(read_source(randomize(get_encoder("xception", weights=None))))
        differences, reference = dense(conversion, "symmetric")
        yield "Cadene, SMP", "xception", reference, differences
    if only and only not in "keras":
        return
    import keras

    network = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            drawn = [random.uniform(0.6, 1.4, shape), random.normal(0, 0.2, shape)]
            layer.set_weights([*drawn, random.normal(0, 0.2, shape), random.uniform(0.6, 1.4, shape)])
    with tempfile.TemporaryDirectory() as folder:
        network.save(f"{folder}/xception.keras")
        conversion = convert(read_source(f"{folder}/xception.keras"))
    differences, reference = dense(conversion, "tf_same")
    yield "Keras", "Xception, padding tf_same", reference, differences


def whole_model_rows(only):
    for stride in (16, 8):
        if not only or only in "segmentron":
            network = randomize(SegmenTron(19, stride))
            conversion = convert(read_source(network))
            runs = compare(model_runner(conversion), lambda x, _: network(x), strides=(stride,), sizes=SIZES)  # noqa: B023
            yield "SegmenTron", "X-65, DeepLabV3+, 19 classes", "its network reimplemented in PyTorch", runs
        if only and only not in "bonlime":
            continue
        other = Bonlime(21, stride)
        other.randomize()
        with tempfile.TemporaryDirectory() as folder:
            other.save(f"{folder}/model.h5")
            conversion = convert(read_source(f"{folder}/model.h5"))

        def original(images, _stride):
            outputs = other(images.permute(0, 2, 3, 1).numpy())  # noqa: B023
            return {name: torch.from_numpy(value).permute(0, 3, 1, 2) for name, value in outputs.items()}

        runs = compare(model_runner(conversion), original, strides=(stride,), sizes=SIZES)
        yield "bonlime", "X-65, DeepLabV3+, 21 classes", "its network reimplemented in Keras 3", runs


HEADER = """# Parity

Differences between converted networks and their originals on the same random images with the same random weights: the
largest absolute difference divided by the largest value, in float32. Written by `python docs/programs/parity.py`;
{machine}.

- Columns 1 to 5 are the encoder's feature maps: the normalised output of the second separable convolution of each block
  with stride, and the final features. Logits are at the size of the image.
- TensorFlow, Keras, timm and SMP run their own operations. TF DeepLab's network is reimplemented from its specification
  in TensorFlow (`xseg/weights/check/tensorflow_deeplab.py`), independently of this project's networks. SegmenTron's
  and bonlime's networks are reimplemented in PyTorch and Keras (`tests/fakes`). TensorFlow writes the checkpoints, with
  momentum and, where stated, moving averages.
- The Xceptions of Keras and Cadene exist only at output stride 32. Ours at 16 and 8 are compared at the shared
  pixels: the dilated network computes the same features on a denser grid.
- timm's X-71 loses a shortcut at output stride 8, so it is compared at 16 and 32.

| origin | network | reference | image | output stride | 1 | 2 | 3 | 4 | 5 | logits |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def lines(origin, title, reference, differences):
    for size, stride in dict.fromkeys((one.size, one.output_stride) for one in differences):
        found = {one.name: one for one in differences if (one.size, one.output_stride) == (size, stride)}
        cells = [f"{found[name].relative:.1e}" if name in found else "" for name in OUTPUTS]
        yield f"| {origin} | {title} | {reference} | {size[0]}×{size[1]} | {stride} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensorflow", default=sys.executable, help="an interpreter that has TensorFlow")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "parity.md")
    parser.add_argument("--only", default="", help="part of a network's name")
    options = parser.parse_args()
    machine = f"torch {torch.__version__.split('+')[0]}, {platform.machine()}"
    text, worst = HEADER.format(machine=machine), 0.0
    sources = (
        original_xception_rows(options.only),
        timm_rows(options.only),
        whole_model_rows(options.only),
        tensorflow_rows(options.tensorflow, options.only),
    )
    for rows in sources:
        for row in rows:
            for line in lines(*row):
                text += line + "\n"
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            worst = max([worst, *(one.relative for one in row[3])])
    text += f"\nLargest of all: {worst:.1e}.\n"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    beside = options.output.with_name(f".{options.output.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(options.output)
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
