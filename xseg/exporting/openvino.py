"""OpenVINO format, the fastest on CPUs."""

from __future__ import annotations

import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xseg.exporting.format import INPUT, Format, Program, Session
from xseg.exporting.onnx import Onnx
from xseg.types import Precision

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_METADATA = "xseg"  # section in `rt_info`


class OpenVino(Format):
    """OpenVINO .xml with the weights in a .bin file."""

    suffix = ".xml"
    packages = ("openvino",)
    extra = "openvino"
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return the version of OpenVINO."""
        import openvino

        return str(openvino.__version__)

    def write(self, program: Program, path: Path) -> None:
        """Write a program, through ONNX if it computes sizes; see `Format`.

        Raises:
            MissingExtraError: if ONNX is needed and not installed.
        """
        import openvino

        model = _through_onnx(program) if program.computes_sizes else _traced(program)
        for key, text in program.metadata.items():
            model.set_rt_info(text, [_METADATA, key])
        openvino.save_model(model, path, compress_to_fp16=False)

    def read(self, path: Path, precision: Precision) -> Session:
        """Compile a file for the CPU; see `Format`."""
        return OpenVinoSession(path, precision)

    def metadata(self, path: Path) -> dict[str, str]:
        """Return the texts in the `rt_info` of a file."""
        import openvino

        model = openvino.Core().read_model(path)
        if not model.has_rt_info([_METADATA]):
            return {}
        return {key: str(value) for key, value in model.get_rt_info([_METADATA]).value.items()}


class OpenVinoSession:
    """A program in OpenVINO on the CPU, from an .xml file, computed with a precision."""

    def __init__(self, path: Path, precision: Precision) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",  # about one stream per core, each with its own images
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled: Any = openvino.Core().compile_model(path, "CPU", settings)
        self.workers = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._local = threading.local()

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs; see `Session`."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer([images.contiguous().numpy()], share_inputs=True)
        return tuple(torch.from_numpy(results[output].copy()) for output in self._compiled.outputs)


def _traced(program: Program) -> Any:
    import openvino

    shape = [-1 if axis in program.free else size for axis, size in enumerate(program.example.shape)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns about branches on a size; `verify` tests several sizes
        return openvino.convert_model(program.module, example_input=program.example, input=shape)


def _through_onnx(program: Program) -> Any:
    import openvino

    form = Onnx()
    form.require_packages("exporting whole models to OpenVINO")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.onnx"
        form.write(program, path)
        model = openvino.convert_model(path)
    model.inputs[0].get_tensor().set_names({INPUT})
    return model
