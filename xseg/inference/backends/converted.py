"""The network in another runtime."""

from __future__ import annotations

from torch import Tensor

from xseg.errors import ConfigError
from xseg.export.cache import kept
from xseg.export.formats import FORMATS
from xseg.inference.options import BackendName
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

FORMAT_OF: dict[BackendName, str] = {"openvino": "openvino", "onnxruntime": "onnx"}


class ConvertedBackend:
    """Computes a network in another runtime on the CPU, images of any size.

    Args:
        name: name of the backend.
        network: what to compute, on the CPU.
        channels: number of image channels.
        precision: type of the numbers that it computes in.

    Raises:
        ConfigError: if the runtime does not have the precision.
        MissingExtraError: if a package is not installed.
    """

    def __init__(self, name: BackendName, network: CoarseNetwork, *, channels: int, precision: Precision) -> None:
        self.name, self.precision = name, precision
        form = FORMATS[FORMAT_OF[name]]
        if precision not in form.precisions:
            raise ConfigError(f"precision={precision} with backend={name}", expected=" or ".join(form.precisions))
        form.require_packages(f"--backend {name}")
        self._session = form.read(kept(FORMAT_OF[name], form, network, channels), precision)
        self.workers = self._session.workers

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        (scores,) = self._session(images.contiguous())
        return scores
