"""The network in OpenVINO, the fastest on a CPU."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.errors import MissingExtraError
from xseg.export.cache import kept
from xseg.inference.network import CoarseNetwork
from xseg.inference.options import BackendName
from xseg.types import Precision

EXAMPLE = (1, 97, 129)  # images, rows and columns that the network is traced with; any others work afterwards
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoBackend:
    """Computes a network in OpenVINO on the CPU, images of any size.

    Args:
        network: what to compute, on the CPU.
        channels: of the images.
        precision: in what.

    Raises:
        MissingExtraError: if OpenVINO is not installed.
    """

    name: BackendName = "openvino"

    def __init__(self, network: CoarseNetwork, *, channels: int, precision: Precision) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("openvino", extra="openvino", purpose="--backend openvino") from error
        self.precision = precision
        path = kept(network, "openvino", ".xml", openvino.__version__, lambda file: _convert(network, channels, file))
        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",  # a stream per core or so, each with its own images
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled: Any = core.compile_model(path, "CPU", settings)
        self.workers = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._local = threading.local()

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer([images.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(results[self._compiled.output(0)].copy())


def _convert(network: CoarseNetwork, channels: int, path: Path) -> None:
    """Write the network as OpenVINO's own format."""
    import openvino

    count, height, width = EXAMPLE
    example = network.pad(torch.zeros(count, channels, height, width))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's tracer warns of every branch on a size; the check shows what it did
        converted = openvino.convert_model(network, example_input=example, input=[-1, channels, -1, -1])
    openvino.save_model(converted, path, compress_to_fp16=False)
