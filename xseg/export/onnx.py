"""Networks in ONNX, computed by ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.export.format import Format, Session
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

EXAMPLE = (2, 97, 129)  # images, rows and columns; not 1 of anything, which the exporter would take for fixed


class Onnx(Format):
    """ONNX, one file."""

    suffix = ".onnx"
    packages = ("onnxruntime", "onnxscript")
    extra = "onnx"
    precisions = ("float32",)

    def version(self) -> str:
        """Return the version of torch, whose exporter writes the file."""
        return str(torch.__version__)

    def write(self, network: CoarseNetwork, channels: int, path: Path) -> None:
        """Write a network; see `Format`."""
        count, height, width = EXAMPLE
        example = network.pad(torch.zeros(count, channels, height, width))
        free = torch.export.Dim.DYNAMIC
        logger = logging.getLogger("torch.onnx")
        level = logger.level
        try:
            logger.setLevel(logging.ERROR)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network,
                    (example,),
                    path,
                    dynamo=True,
                    external_data=False,
                    dynamic_shapes=({0: free, 2: free, 3: free},),
                    verbose=False,
                )
        finally:
            logger.setLevel(level)

    def read(self, path: Path, precision: Precision) -> Session:  # noqa: ARG002 - float32 alone
        """Open a file in ONNX Runtime; see `Format`."""
        return OnnxSession(path)


class OnnxSession:
    """A network in ONNX Runtime on the CPU.

    Args:
        path: the .onnx file.
    """

    workers = 1

    def __init__(self, path: Path) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Tensor) -> Tensor:
        """Score images; see `Session`."""
        (scores,) = self._session.run(None, {self._input: images.contiguous().numpy()})
        return torch.from_numpy(scores)
