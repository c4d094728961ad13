"""ONNX format, with ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.exporting.format import INPUT, Format, Program, Session
from xseg.types import Precision


class Onnx(Format):
    """ONNX in one file."""

    suffix = ".onnx"
    packages = ("onnx", "onnxruntime", "onnxscript")
    extra = "onnx"

    def write(self, program: Program, path: Path) -> None:
        """Write a program; see `Format`."""
        with _silence(), torch.no_grad():
            written: Any = torch.onnx.export(
                program.module,
                (program.example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(program.outputs),
                dynamic_shapes=(dict.fromkeys(program.free, torch.export.Dim.DYNAMIC),),
                verbose=False,
            )
            written.model.metadata_props.update(program.metadata)
            written.save(path, external_data=False)

    def read(self, path: Path, precision: Precision) -> Session:  # noqa: ARG002 - float32 alone
        """Open a file in ONNX Runtime; see `Format`."""
        return OnnxSession(path)

    def metadata(self, path: Path) -> dict[str, str]:
        """Return the `metadata_props` of a file."""
        import onnx

        return {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}


class OnnxSession:
    """A program in ONNX Runtime on the CPU, from an .onnx file."""

    workers = 1

    def __init__(self, path: Path) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs; see `Session`."""
        return tuple(torch.from_numpy(output) for output in self._session.run(None, {self._input: images.numpy()}))


@contextmanager
def _silence() -> Iterator[None]:
    """Silence progress and warnings of the exporter; `verify` checks the result."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
