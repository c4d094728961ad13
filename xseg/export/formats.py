"""Registry of export formats."""

from __future__ import annotations

from xseg.export.format import Format
from xseg.export.onnx import Onnx
from xseg.export.openvino import OpenVino
from xseg.export.options import FormatName
from xseg.export.torch import TorchExport, TorchScript

FORMATS: dict[FormatName, Format] = {
    "onnx": Onnx(),
    "openvino": OpenVino(),
    "pt2": TorchExport(),
    "torchscript": TorchScript(),
}
