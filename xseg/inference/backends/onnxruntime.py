"""The network in ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.errors import ConfigError, MissingExtraError
from xseg.export.cache import kept
from xseg.inference.network import CoarseNetwork
from xseg.inference.options import BackendName
from xseg.types import Precision

EXAMPLE = (2, 97, 129)  # images, rows and columns; not 1 of anything, which the exporter would take for fixed


class OnnxRuntimeBackend:
    """Computes a network in ONNX Runtime on the CPU, images of any size.

    Args:
        network: what to compute, on the CPU.
        channels: of the images.
        precision: "float32", the only one that ONNX Runtime has on a CPU.

    Raises:
        ConfigError: if another precision is asked for.
        MissingExtraError: if a package is not installed.
    """

    name: BackendName = "onnxruntime"
    workers = 1
    precision: Precision = "float32"

    def __init__(self, network: CoarseNetwork, *, channels: int, precision: Precision) -> None:
        if precision != "float32":
            raise ConfigError(f"precision={precision} with backend=onnxruntime", expected="float32")
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", extra="onnx", purpose="--backend onnxruntime") from error
        path = kept(network, "onnx", ".onnx", torch.__version__, lambda file: _export(network, channels, file))
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        (scores,) = self._session.run(None, {self._input: images.contiguous().numpy()})
        return torch.from_numpy(scores)


def _export(network: CoarseNetwork, channels: int, path: Path) -> None:
    """Write the network as ONNX."""
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
    except ImportError as error:
        raise MissingExtraError("onnxscript", extra="onnx", purpose="--backend onnxruntime") from error
    finally:
        logger.setLevel(level)
