"""Registry of export formats."""

from __future__ import annotations

from xseg.exporting.format import Format
from xseg.exporting.onnx import Onnx
from xseg.exporting.openvino import OpenVino
from xseg.exporting.options import FormatName
from xseg.exporting.torch import TorchExport, TorchScript

FORMATS: dict[FormatName, Format] = {
    "onnx": Onnx(),
    "openvino": OpenVino(),
    "pt2": TorchExport(),
    "torchscript": TorchScript(),
}
