"""Keras's Xception in every form of file gives the same weights, and the same features as Keras itself."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="keras is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)

from xseg.errors import WeightsError  # noqa: E402
from xseg.factory import create_encoder  # noqa: E402
from xseg.weights.convert import convert  # noqa: E402
from xseg.weights.formats.read import read_source  # noqa: E402

TAPS = ["block2_sepconv2_bn", "block3_sepconv2_bn", "block4_sepconv2_bn", "block13_sepconv2_bn", "block14_sepconv2_act"]
CACHE = Path(os.environ.get("XSEG_TEST_CACHE", Path.home() / ".cache" / "xseg-test"))
KITCHENWARE_FILE = CACHE / "xception_imagenet_kitchenware.keras"
PHOTOGRAPHS = Path(__file__).parents[2] / "../shared/data/kitchenware"
DISHES = ("cup", "fork", "glass", "knife", "plate", "spoon")


@pytest.fixture(scope="module")
def network():
    """Keras's Xception with random weights, statistics included."""
    keras.utils.set_random_seed(3)
    body = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(body.output)
    model = keras.Model(body.inputs, keras.layers.Dense(7, name="predictions")(pooled))
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.get_weights()[0].shape
            layer.set_weights(
                [
                    random.uniform(0.8, 1.2, size),
                    random.normal(0, 0.2, size),
                    random.normal(0, 0.2, size),
                    random.uniform(0.5, 1.5, size),
                ]
            )
    return model


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The same weights in every form that Keras writes."""
    folder = tmp_path_factory.mktemp("keras")
    paths = {
        name: folder / name for name in ("a.keras", "a.weights.h5", "a.h5", "nested.keras", "nested.h5", "flat.h5")
    }
    for name in ("a.keras", "a.h5"):
        network.save(paths[name])
    network.save_weights(paths["a.weights.h5"])
    body = keras.Model(network.inputs, network.get_layer("block14_sepconv2_act").output, name="anything")
    images = keras.Input((71, 71, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(body(images))
    nested = keras.Model(images, keras.layers.Dense(3)(keras.layers.Dense(5)(pooled)))
    for name in ("nested.keras", "nested.h5"):
        nested.save(paths[name])
    pooled = keras.layers.GlobalAveragePooling2D()(body.output)
    keras.Model(body.inputs, keras.layers.Dense(3)(pooled)).save(paths["flat.h5"])
    return paths


@pytest.fixture(scope="module")
def reference(files):
    return convert(read_source(files["a.h5"])).encoder_state()


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def as_torch(maps) -> list[torch.Tensor]:
    return [keras.ops.convert_to_tensor(value).permute(0, 3, 1, 2).cpu() for value in maps]


@pytest.mark.parametrize("size", [(71, 71), pytest.param((96, 83), marks=pytest.mark.slow)])
def test_features_equal_keras_at_every_tap(network, files, size):
    taps = keras.Model(network.inputs, [network.get_layer(name).output for name in TAPS])
    images = torch.randn(2, 3, *size)
    encoder = create_encoder("xception", weights=files["a.h5"], padding="tf_same").eval()
    with torch.inference_mode():
        theirs = as_torch(taps(images.permute(0, 2, 3, 1)))
        ours = encoder(images)[1:]
    assert [relative(own, other) < 1e-4 for own, other in zip(ours, theirs, strict=True)] == [True] * 5


@pytest.mark.parametrize("form", ["a.keras", "a.weights.h5", "nested.keras", "nested.h5", "flat.h5"])
def test_every_form_of_file_holds_the_same_weights(files, reference, form):
    converted = convert(read_source(files[form])).encoder_state()
    assert all(torch.equal(converted[name], tensor) for name, tensor in reference.items())


def strip_names(path: Path, target: Path) -> None:
    """Copy Keras 3 weights as Keras before 3.? wrote them: without the layers' own names beside the running ones."""
    target.write_bytes(path.read_bytes())
    with h5py.File(target, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) if "name" in item.attrs else None)


def test_running_names_without_the_layers_own_are_ordered_by_the_network(files, reference, tmp_path):
    strip_names(files["a.weights.h5"], tmp_path / "bare.weights.h5")
    converted = convert(read_source(tmp_path / "bare.weights.h5")).encoder_state()
    assert all(torch.equal(converted[name], tensor) for name, tensor in reference.items())


def test_running_names_are_ordered_by_the_description_where_there_is_one(files, reference, tmp_path):
    strip_names_in_archive(files["nested.keras"], tmp_path / "bare.keras")
    converted = convert(read_source(tmp_path / "bare.keras")).encoder_state()
    assert all(torch.equal(converted[name], tensor) for name, tensor in reference.items())


def strip_names_in_archive(path: Path, target: Path, **changes: bytes) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        weights = target.with_suffix(".h5")
        (target.with_suffix(".in.h5")).write_bytes(old.read("model.weights.h5"))
        strip_names(target.with_suffix(".in.h5"), weights)
        new.write(weights, "model.weights.h5")
        new.writestr("config.json", old.read("config.json"))


def test_epsilon_comes_from_the_file(files, tmp_path):
    with zipfile.ZipFile(files["a.keras"]) as old, zipfile.ZipFile(tmp_path / "other.keras", "w") as new:
        config = old.read("config.json").decode().replace('"epsilon": 0.001', '"epsilon": 0.002')
        new.writestr("config.json", config)
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    encoder = create_encoder("xception", weights=tmp_path / "other.keras", depth=1)
    assert {module.eps for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {0.002}
    assert json.loads(config)["class_name"] == "Functional"


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_a_shallower_encoder_takes_its_part(files, reference, depth):
    part = create_encoder("xception", weights=files["a.h5"], output_stride=8, depth=depth)
    for name, tensor in part.state_dict().items():
        assert torch.equal(tensor, reference[name]), name


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_first_kernels_are_repeated_over_other_channels_and_it_is_told(files, reference, channels, caplog):
    with caplog.at_level("INFO"):
        encoder = create_encoder("xception", weights=files["a.h5"], in_channels=channels, depth=1)
    assert f"first convolution repeated from 3 to {channels} channels" in caplog.text
    first = reference["stem.conv1.conv.weight"]
    expected = first[:, [index % 3 for index in range(channels)]] * (3 / channels)
    torch.testing.assert_close(encoder.stem.conv1.conv.weight.detach(), expected)


def test_one_channel_gives_a_grey_image_the_response_that_three_give(files):
    colour = create_encoder("xception", weights=files["a.h5"], depth=1).eval()
    grey = create_encoder("xception", weights=files["a.h5"], depth=1, in_channels=1).eval()
    image = torch.randn(1, 1, 65, 65)
    with torch.inference_mode():
        torch.testing.assert_close(grey(image)[1], colour(image.expand(-1, 3, -1, -1))[1], rtol=1e-4, atol=1e-5)


def test_another_encoder_is_refused_by_name(files):
    with pytest.raises(WeightsError, match="holds xception; expected xception41"):
        create_encoder("xception41", weights=files["a.h5"], depth=1)


def test_two_xceptions_in_one_file_are_refused(network, tmp_path):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        for outer in ("one", "two"):
            group = file.create_group(outer)
            group["block1_conv1/kernel"] = np.zeros((3, 3, 3, 32), np.float32)
            group["x/y/kernel"] = np.zeros((2, 2), np.float32)
            group.attrs["weight_names"] = ["block1_conv1/kernel", "x/y/kernel"]
        file.attrs["layer_names"] = ["one", "two"]
    with pytest.raises(WeightsError):
        convert(read_source(tmp_path / "two.h5")).encoder_state()


@pytest.mark.slow
@pytest.mark.skipif(not KITCHENWARE_FILE.exists(), reason=f"no {KITCHENWARE_FILE}")
@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason=f"no {PHOTOGRAPHS}")
def test_the_kitchenware_file_equals_keras_and_labels_nine_of_nine_photographs():
    model = keras.models.load_model(KITCHENWARE_FILE, compile=False)
    inner = model.get_layer("xception")
    taps = keras.Model(inner.inputs, [inner.get_layer(name).output for name in TAPS])
    paths = sorted(PHOTOGRAPHS.glob("*.jpg"))
    pixels = [
        np.asarray(Image.open(path).convert("RGB").resize((150, 150), Image.Resampling.NEAREST)) for path in paths
    ]
    images = torch.from_numpy(np.stack(pixels).astype(np.float32) / 127.5 - 1)
    encoder = create_encoder("xception", weights=KITCHENWARE_FILE, padding="tf_same").eval()
    with torch.inference_mode():
        theirs = as_torch(taps(images))
        ours = encoder(images.permute(0, 3, 1, 2))[1:]
        scores = model.get_layer("dense_1")(model.get_layer("dense")(ours[-1].mean((2, 3))))
    assert max(relative(own, other) for own, other in zip(ours, theirs, strict=True)) < 1e-4
    named = dict(zip((path.name for path in paths), (DISHES[index] for index in scores.argmax(1)), strict=True))
    with (PHOTOGRAPHS / "labels.csv").open() as file:
        labels = {row["image"]: row["label"] for row in csv.DictReader(file)}
    assert len(paths) == 18
    assert {name: named[name] for name in labels} == labels
