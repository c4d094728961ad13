"""Backends: networks in torch or in another runtime, and the selection of device, precision and backend."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.exporting.cache import cached_file
from xseg.exporting.formats import FORMATS
from xseg.exporting.options import FormatName
from xseg.exporting.proof import verify
from xseg.inference.folding import folded
from xseg.inference.options import BackendName, BackendOption, InferenceOptions, PrecisionOption
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import Precision

FORMAT_OF: dict[BackendName, FormatName] = {"openvino": "openvino", "onnxruntime": "onnx"}
# Fastest first on CPUs, all faster than torch; ONNX Runtime has no bfloat16.
_FASTEST: dict[Precision, tuple[BackendName, ...]] = {
    "bfloat16": ("openvino",),
    "float32": ("openvino", "onnxruntime"),
    "float16": (),
}


class Backend(Protocol):
    """Computes a network; `workers` simultaneous calls, from several threads, use the device fully."""

    name: BackendName
    precision: Precision
    workers: int

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images.

        Args:
            images: images on the predictor's device, (N, C, H, W) float32 in channels_last layout.

        Returns:
            Logits, (N, classes, h, w) float32.
        """


class TorchBackend:
    """Computes a network in torch.

    Models of xseg are copied once, with normalisations folded into the convolutions and weights in the given precision;
    other modules run unchanged, under autocast. The network is on the device.
    """

    name: BackendName = "torch"
    workers = 1

    def __init__(self, network: CoarseNetwork, *, device: torch.device, precision: Precision) -> None:
        self.precision, self._device = precision, device
        self._type: torch.dtype = getattr(torch, precision)
        self._own = isinstance(network.model, SegmentationModel)
        self._network: nn.Module = network
        if self._own:
            self._network = folded(network).to(self._type).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        if self._own:
            scores: Tensor = self._network(images.to(self._type))
        else:
            with nullcontext() if self.precision == "float32" else torch.autocast(self._device.type, self._type):
                scores = self._network(images)
        return scores.float()


class ConvertedBackend:
    """Computes a network in another runtime on the CPU, for images of any size with `channels` channels.

    Raises:
        ConfigError: if the runtime does not support the precision.
        MissingExtraError: if a package is not installed.
    """

    def __init__(self, name: BackendName, network: CoarseNetwork, *, channels: int, precision: Precision) -> None:
        self.name, self.precision = name, precision
        form = FORMATS[FORMAT_OF[name]]
        if precision not in form.precisions:
            raise ConfigError(f"precision={precision} with backend={name}", expected=" or ".join(form.precisions))
        form.require_packages(f"--backend {name}")
        self._session = form.read(cached_file(FORMAT_OF[name], form, network, channels), precision)
        self.workers = self._session.workers

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        (scores,) = self._session(images.contiguous())
        return scores


def select_device(name: str) -> torch.device:
    """Return the device with a name: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ConfigError: if the device does not exist.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name!r}", expected="auto, cpu, cuda, cuda:0 or mps") from error
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= available.get(device.type, 0):
        here = ", ".join(f"{count} {kind}" for kind, count in available.items() if count)
        raise ConfigError(f"device={name!r}", expected=f"a device of this machine ({here})", remedy="use auto")
    return device


def native_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware supports bfloat16, which is then faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


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
        names = _FASTEST[precision] if device.type == "cpu" and own else ()
        return next((name for name in names if not FORMATS[FORMAT_OF[name]].missing_packages()), "torch")
    if option != "torch" and device.type != "cpu":
        raise ConfigError(f"backend={option} on {device}", expected="device=cpu, or backend=torch")
    if option != "torch" and not own:
        got = f"backend={option} for a {type(model).__name__}"
        raise ConfigError(got, expected="a model of xseg, or backend=torch")
    return option


def create_backend(
    network: CoarseNetwork, *, channels: int, device: torch.device, options: InferenceOptions
) -> Backend:
    """Return the backend for a network on `device` with images of `channels` channels.

    Converted networks are compared with torch; "auto" is the fastest backend installed, or torch if that one disagrees.

    Raises:
        ConfigError: if the backend does not support the device, or its results differ from torch.
        MissingExtraError: if a package of the backend is missing.
    """
    resolved = select_precision(options.precision, options.backend, device)
    name = select_backend(options.backend, resolved, device, network.model)
    if name == "torch":
        return TorchBackend(network, device=device, precision=resolved)
    try:
        converted = ConvertedBackend(name, network, channels=channels, precision=resolved)
        verify(converted, network, channels, precision=resolved, what=f"backend={name}", remedy="use --backend torch")
        return converted
    except (ConfigError, ImportError, RuntimeError) as error:
        if options.backend != "auto":
            raise
        warnings.warn(f"{name} is not used: {error}", stacklevel=2)
        return TorchBackend(network, device=device, precision=resolved)
