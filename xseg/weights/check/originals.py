"""Builders of the original networks in their own frameworks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from xseg.errors import MissingExtraError, WeightsError
from xseg.weights.check.compare import Runner
from xseg.weights.convert import Conversion
from xseg.weights.formats.keras_names import SHORTCUTS
from xseg.weights.origins.rules import COUNTER

KERAS_TAPS = (
    "block2_sepconv2_bn", "block3_sepconv2_bn", "block4_sepconv2_bn", "block13_sepconv2_bn", "block14_sepconv2_act",
)  # fmt: skip


def original_runner(conversion: Conversion) -> tuple[Runner, tuple[int, ...], str]:
    """Build the original network of converted weights.

    Returns:
        A function that runs the network, its output strides, and its name.

    Raises:
        WeightsError: if there is no runnable original for this origin.
        MissingExtraError: if its framework is not installed.
    """
    builders: dict[str, Callable[[Conversion], tuple[Runner, tuple[int, ...], str]]] = {
        "tensorflow": _tensorflow,
        "keras": _keras,
        "timm": _timm,
        "cadene": _cadene,
        "smp": _cadene,
    }
    builder = builders.get(conversion.plan.origin)
    if builder is None or (conversion.plan.origin == "smp" and conversion.encoder != "xception"):
        got = f"--check cannot run the original network of {conversion.plan.origin}"
        remedy = "convert without --check; docs/parity.md lists comparisons for every origin"
        raise WeightsError(got, expected=f"weights of {', '.join(builders)}", remedy=remedy)
    return builder(conversion)


def _tensorflow(conversion: Conversion) -> tuple[Runner, tuple[int, ...], str]:
    """Run the network reimplemented in TensorFlow with the variables of the file."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("tensorflow", extra="tf", purpose="comparing with TF DeepLab") from error
    from xseg.weights.check.tensorflow_deeplab import Network, Options

    tensors, config = conversion.source.tensors, conversion.plan.config
    encoder = re.sub(r"(\d+)", r"_\1", conversion.encoder)

    def variables(name: str, _shape: tuple[int, ...]) -> Any:
        return tf.constant(tensors[name].numpy())

    def run(images: Tensor, stride: int) -> dict[str, Tensor]:
        first, second, third = config.multi_grid if config else (1, 1, 1)
        options = Options(variant=encoder, output_stride=stride, classes=0, multi_grid=(first, second, third))
        if config is not None:
            rates = tuple(rate * 16 // stride for rate in (6, 12, 18))
            options = replace(options, atrous_rates=rates if config.atrous_rates is None else config.atrous_rates)
            same = ("classes", "aspp", "image_pooling", "decoder")
            options = replace(options, **{name: getattr(config, name) for name in same})
        outputs = Network(options, variables).run(tf.constant(images.permute(0, 2, 3, 1).numpy()))
        return {name: torch.from_numpy(value.numpy()).permute(0, 3, 1, 2) for name, value in outputs.items()}

    return run, (16, 8), f"TensorFlow {tf.__version__}"


def _keras(conversion: Conversion) -> tuple[Runner, tuple[int, ...], str]:
    """Run Keras's own Xception with the tensors of the file; the model description in the file is not used."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise MissingExtraError("keras", extra="keras", purpose="comparing with Keras") from error
    network = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
    _fill_keras(network, conversion.source.tensors)
    taps = keras.Model(network.inputs, [network.get_layer(name).output for name in KERAS_TAPS])

    def run(images: Tensor, _stride: int) -> dict[str, Tensor]:
        maps = taps([images.permute(0, 2, 3, 1).numpy()])
        arrays = [keras.ops.convert_to_numpy(map_) for map_ in maps]
        return {str(level): torch.from_numpy(map_).permute(0, 3, 1, 2) for level, map_ in enumerate(arrays, 1)}

    return run, (32,), f"Keras {keras.__version__}"


def _fill_keras(network: Any, tensors: Mapping[str, Tensor]) -> None:
    """Fill Keras's layers with their tensors; the four shortcuts are in the order of the network."""
    shortcuts, norms = iter(SHORTCUTS.values()), iter(SHORTCUTS.values())
    variables = {
        "Conv2D": ("kernel",),
        "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
        "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    }
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in variables:
            continue
        name = layer.name
        if not name.startswith("block"):
            name = f"shortcut{next(shortcuts)}" if kind == "Conv2D" else f"shortcut{next(norms)}_bn"
        layer.set_weights([tensors[f"{name}/{variable}"].numpy() for variable in variables[kind]])


def _timm(conversion: Conversion) -> tuple[Runner, tuple[int, ...], str]:
    """Run timm's own network. Its X-71 loses a shortcut at output stride 8, so it is compared at 16 and 32."""
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", extra="test", purpose="comparing with timm") from error
    networks: dict[int, nn.Module] = {}
    strided = (0, 2, 4, 21) if conversion.encoder == "xception71" else (0, 1, 2, -2)

    def run(images: Tensor, stride: int) -> dict[str, Tensor]:
        if stride not in networks:
            with torch.device("meta"):  # random initialisation takes longer than the run
                network = timm.create_model(conversion.encoder, num_classes=0, output_stride=stride).eval()
            _load(network, conversion.source.tensors)
            networks[stride] = network
        own: Any = networks[stride]
        return _hooked([own.blocks[index].stack.conv2 for index in strided], images, own.forward_features)

    return run, (16, 32) if conversion.encoder == "xception71" else (16, 8), f"timm {timm.__version__}"


def _cadene(conversion: Conversion) -> tuple[Runner, tuple[int, ...], str]:
    """Run SMP's Xception: Cadene's network with symmetric padding, as in this project."""
    try:
        from segmentation_models_pytorch.encoders import get_encoder
    except ImportError as error:
        raise MissingExtraError("segmentation-models-pytorch", extra="test", purpose="comparing with SMP") from error
    with torch.device("meta"):
        network = get_encoder("xception", weights=None).eval()
    names = {re.sub(r"^encoder\.(model\.)?", "", name): tensor for name, tensor in conversion.source.tensors.items()}
    inside = set(network.state_dict())
    shaped = {
        name: tensor[:, :, None, None] if name.endswith("pointwise.weight") and tensor.ndim == 2 else tensor
        for name, tensor in names.items()
        if name in inside
    }
    _load(network, shaped)
    taps = [network.block1.rep[4], network.block2.rep[5], network.block3.rep[5], network.block12.rep[5]]

    def run(images: Tensor, _stride: int) -> dict[str, Tensor]:
        return _hooked(taps, images, lambda given: torch.relu(network(given)[-1]))

    return run, (32,), "SMP's xception"


def _load(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the state of the original network; counters may be missing, the classifier may be extra."""
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    found = nn.Module.load_state_dict(network, state, strict=False, assign=True)  # SMP overrides it without `strict`
    missing = [name for name in found.missing_keys if not name.endswith(COUNTER)]
    extra = [name for name in found.unexpected_keys if not re.match(r"(head|fc|last_linear)\.", name)]
    if missing or extra:
        got = f"the original network lacks {extra[:3]} or misses {missing[:3]}"
        raise WeightsError(got, expected="its own weights")


def _hooked(taps: list[nn.Module], images: Tensor, forward: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Run a network and return the outputs of some modules, "1" to "4", and its final output, "5"."""
    maps: dict[str, Tensor] = {}
    handles = []
    for level, module in enumerate(taps, 1):

        def keep(_module: nn.Module, _inputs: Any, output: Tensor, name: str = str(level)) -> None:
            maps[name] = output.clone()  # the next module may work in place

        handles.append(module.register_forward_hook(keep))
    try:
        maps["5"] = forward(images)
    finally:
        for handle in handles:
            handle.remove()
    return maps
