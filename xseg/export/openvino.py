"""Networks in OpenVINO's format, the fastest on a CPU."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.export.format import Format, Session
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

EXAMPLE = (1, 97, 129)  # images, rows and columns that the network is traced with; any others work afterwards
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVino(Format):
    """OpenVINO's .xml, with the weights in a .bin beside it."""

    suffix = ".xml"
    packages = ("openvino",)
    extra = "openvino"
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return OpenVINO's version."""
        import openvino

        return str(openvino.__version__)

    def write(self, network: CoarseNetwork, channels: int, path: Path) -> None:
        """Write a network; see `Format`."""
        import openvino

        count, height, width = EXAMPLE
        example = network.pad(torch.zeros(count, channels, height, width))
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's tracer warns of every branch on a size; `verify` tests several
            converted = openvino.convert_model(network, example_input=example, input=[-1, channels, -1, -1])
        openvino.save_model(converted, path, compress_to_fp16=False)

    def read(self, path: Path, precision: Precision) -> Session:
        """Compile a file for the CPU; see `Format`."""
        return OpenVinoSession(path, precision)


class OpenVinoSession:
    """A network in OpenVINO on the CPU.

    Args:
        path: the .xml file.
        precision: type of the numbers that it computes in.
    """

    def __init__(self, path: Path, precision: Precision) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",  # a stream per core or so, each with its own images
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled: Any = openvino.Core().compile_model(path, "CPU", settings)
        self.workers = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._local = threading.local()

    def __call__(self, images: Tensor) -> Tensor:
        """Score images; see `Session`."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer([images.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(results[self._compiled.output(0)].copy())
