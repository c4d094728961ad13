"""Backends: networks in torch or in another runtime."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.exporting.cache import cached_file
from xseg.exporting.formats import FORMATS
from xseg.exporting.options import FormatName
from xseg.inference.device import precision_context, torch_type
from xseg.inference.folding import folded
from xseg.inference.options import BackendName
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import Precision

FORMAT_OF: dict[BackendName, FormatName] = {"openvino": "openvino", "onnxruntime": "onnx"}


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
    other modules run unchanged, under autocast.

    Args:
        network: network, on the device.
        device: device of the network.
        precision: number type of the computation.
    """

    name: BackendName = "torch"
    workers = 1

    def __init__(self, network: CoarseNetwork, *, device: torch.device, precision: Precision) -> None:
        self.precision = precision
        self._device = device
        self._own = isinstance(network.model, SegmentationModel)
        self._network: nn.Module = network
        if self._own:
            fast = folded(network).to(torch_type(precision))
            self._network = fast.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        if self._own:
            scores: Tensor = self._network(images.to(torch_type(self.precision)))
        else:
            with precision_context(self._device, self.precision):
                scores = self._network(images)
        return scores.float()


class ConvertedBackend:
    """Computes a network in another runtime on the CPU, for images of any size.

    Args:
        name: name of the backend.
        network: network, on the CPU.
        channels: number of image channels.
        precision: number type of the computation.

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
