"""Which backend and precision are used where `auto` is asked for."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from xseg.errors import ConfigError
from xseg.export.formats import FORMATS
from xseg.export.verify import verify
from xseg.inference.backends.backend import FORMAT_OF, Backend, ConvertedBackend, TorchBackend
from xseg.inference.device import native_bfloat16
from xseg.inference.options import BackendName, BackendOption, PrecisionOption
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import Precision

# Fastest first, on a CPU; ONNX Runtime has no bfloat16 there.
_FASTEST: dict[Precision, tuple[BackendName, ...]] = {
    "bfloat16": ("openvino", "torch"),
    "float32": ("openvino", "onnxruntime", "torch"),
    "float16": ("torch",),
}


def select_precision(option: PrecisionOption, backend: BackendOption, device: torch.device) -> Precision:
    """Return the precision that is meant: "auto" is bfloat16 where the hardware and the backend have it."""
    if option != "auto":
        return option
    return "bfloat16" if backend != "onnxruntime" and native_bfloat16(device) else "float32"


def select_backend(option: BackendOption, precision: Precision, device: torch.device, model: nn.Module) -> BackendName:
    """Return the backend that is meant: "auto" is the fastest that is installed.

    Raises:
        ConfigError: if a backend is asked for that does not run on the device, or not such a model.
    """
    own = isinstance(model, SegmentationModel)
    if option == "auto":
        if device.type != "cpu" or not own:
            return "torch"
        return next(
            name for name in _FASTEST[precision] if name == "torch" or not FORMATS[FORMAT_OF[name]].missing_packages()
        )
    if option != "torch" and device.type != "cpu":
        raise ConfigError(f"backend={option} on {device}", expected="device=cpu, or backend=torch")
    if option != "torch" and not own:
        raise ConfigError(
            f"backend={option} for a {type(model).__name__}", expected="a model of xseg, or backend=torch"
        )
    return option


def create_backend(
    network: CoarseNetwork,
    *,
    channels: int,
    device: torch.device,
    backend: BackendOption,
    precision: PrecisionOption,
) -> Backend:
    """Return what computes a network, checked against torch where it was converted.

    Args:
        network: what to compute, on the device.
        channels: of the images.
        device: where to compute.
        backend: what computes; "auto" is the fastest that is installed, and torch if that one turns out to compute
            something else.
        precision: in what.

    Raises:
        ConfigError: if the backend does not run on the device, or does not compute what torch computes.
        MissingExtraError: if a package of the backend is missing.
    """
    resolved = select_precision(precision, backend, device)
    name = select_backend(backend, resolved, device, network.model)
    if name == "torch":
        return TorchBackend(network, device=device, precision=resolved)
    try:
        converted = ConvertedBackend(name, network, channels=channels, precision=resolved)
        verify(converted, network, channels, precision=resolved, what=f"backend={name}", remedy="use --backend torch")
        return converted
    except (ConfigError, ImportError, RuntimeError) as error:
        if backend != "auto":
            raise
        warnings.warn(f"{name} is left out: {error}", stacklevel=2)
        return TorchBackend(network, device=device, precision=resolved)
