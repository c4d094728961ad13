"""Options of an export, as plain values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xseg.errors import ConfigError
from xseg.labels.threshold import threshold_texts

FormatName: TypeAlias = Literal["onnx", "openvino", "pt2", "torchscript"]
InputKind: TypeAlias = Literal["uint8", "float", "unit"]
Result: TypeAlias = Literal["labels", "confidence", "probabilities", "logits"]
Layout: TypeAlias = Literal["nhwc", "nchw"]


@dataclass(frozen=True)
class GraphOptions:
    """Input and output of an exported model.

    Args:
        input: values of the images: uint8 (0 to 255), float (stored values as float32), or unit (float32 from 0 to 1).
        result: labels (the class of every pixel, or 0 or 1 for each of overlapping classes); confidence (labels and
            their probabilities); probabilities of all classes; or logits of all classes.
        layout: order of the image axes: nhwc or nchw. Scores of all classes are always (N, classes, H, W).
        size: fixed rows and columns of the images, one image at a time; by default any number and size.
        threshold: lowest probability, 0 to 1, at which a pixel has a class, for a model with two classes (its second
            one) or with overlapping classes (all of them, or each one as NAME=NUMBER); by default the thresholds
            stored with the model.

    Raises:
        ConfigError: if a value is out of range.
    """

    input: InputKind = "uint8"
    result: Result = "labels"
    layout: Layout = "nhwc"
    size: tuple[int, ...] = ()
    threshold: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, allowed in (("input", InputKind), ("result", Result), ("layout", Layout)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"one of {', '.join(get_args(allowed))}")
        object.__setattr__(self, "size", tuple(self.size))
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            raise ConfigError(f"size={self.size}", expected="rows and columns of 1 or more")
        object.__setattr__(self, "threshold", threshold_texts(self.threshold))
        if self.threshold and self.result not in ("labels", "confidence"):
            raise ConfigError(f"threshold with result={self.result}", expected="result=labels or confidence")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return ("labels", "confidence") if self.result == "confidence" else (self.result,)
