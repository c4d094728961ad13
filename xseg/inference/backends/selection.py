"""Selection of backend and precision for "auto"."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from xseg.errors import ConfigError
from xseg.exporting.formats import FORMATS
from xseg.exporting.verify import verify
from xseg.inference.backends.backend import FORMAT_OF, Backend, ConvertedBackend, TorchBackend
from xseg.inference.device import native_bfloat16
from xseg.inference.options import BackendName, BackendOption, PrecisionOption
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import Precision

# Fastest first on CPUs, where ONNX Runtime has no bfloat16.
_FASTEST: dict[Precision, tuple[BackendName, ...]] = {
    "bfloat16": ("openvino", "torch"),
    "float32": ("openvino", "onnxruntime", "torch"),
    "float16": ("torch",),
}


def select_precision(option: PrecisionOption, backend: BackendOption, device: torch.device) -> Precision:
    """Return the precision; "auto" is bfloat16 if hardware and backend support it."""
    if option != "auto":
        return option
    return "bfloat16" if backend != "onnxruntime" and native_bfloat16(device) else "float32"


def select_backend(option: BackendOption, precision: Precision, device: torch.device, model: nn.Module) -> BackendName:
    """Return the name of the backend; "auto" is the fastest one installed.

    Raises:
        ConfigError: if the backend does not support the device or the model.
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
    """Return the backend for a network; converted networks are compared with torch.

    Args:
        network: network, on the device.
        channels: number of image channels.
        device: device of the computation.
        backend: backend; "auto" is the fastest one installed, and torch if that one disagrees with torch.
        precision: number type of the computation.

    Raises:
        ConfigError: if the backend does not support the device, or its results differ from torch.
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
        warnings.warn(f"{name} is not used: {error}", stacklevel=2)
        return TorchBackend(network, device=device, precision=resolved)
