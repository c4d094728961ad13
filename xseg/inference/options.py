"""Options for running a model. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xseg.errors import ConfigError
from xseg.inference.tiling import TileOption, check_tiling
from xseg.labels.threshold import threshold_texts
from xseg.types import OUTPUT_STRIDES, OutputStride

BackendName: TypeAlias = Literal["torch", "openvino", "onnxruntime"]
BackendOption: TypeAlias = Literal["auto", "torch", "openvino", "onnxruntime"]
PrecisionOption: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class InferenceOptions:
    """Options for running a model.

    Args:
        scales: scales of the image over which probabilities are averaged.
        flip: whether to average with the mirrored image too.
        rotations: whether to average over the four quarter turns of the image, too, as for aerial or microscopic images
            without up and down.
        output_stride: 4, 8, 16 or 32, instead of the output stride in training; lower is finer and slower.
        batch_size: number of images of the same size per batch.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1, mps.
        precision: float32, bfloat16 or float16, the last two faster on hardware that supports them; auto is bfloat16
            if the hardware supports it, otherwise float32.
        backend: library that computes the model: torch, openvino or onnxruntime; auto is the fastest one installed for
            the device.
        tile: side of the tiles in pixels; 0 for whole images; auto for whole images if the memory allows, otherwise
            tiles.
        overlap: overlap of neighbouring tiles in pixels; by default the measured context of the model.
        architecture: class path of a decoder outside the package, path/to/file.py:Class, for a model that has one. Its
            code is run only if given here, never because a bundle names it.
        threshold: lowest probability, 0 to 1, at which a pixel has a class, for a model with two classes (its second
            one) or with overlapping classes (all of them, or each one as NAME=NUMBER); by default the thresholds
            stored with the model.
        background: class that overlays leave clear and that polygons and COCO leave out; by default the first class if
            it is named "background". "none" treats all classes alike.

    Raises:
        ConfigError: if a value is out of range.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    rotations: bool = False
    output_stride: OutputStride | None = None
    batch_size: int = 1
    device: str = "auto"
    precision: PrecisionOption = "float32"
    backend: BackendOption = "torch"
    tile: TileOption = "auto"
    overlap: int | None = None
    architecture: str | None = None
    threshold: tuple[str, ...] = ()
    background: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        if not self.scales or not all(math.isfinite(scale) and scale > 0 for scale in self.scales):
            raise ConfigError(f"scales={self.scales}", expected="one number above 0, or more")
        object.__setattr__(self, "threshold", threshold_texts(self.threshold))
        if self.batch_size < 1:
            raise ConfigError(f"batch_size={self.batch_size}", expected="1 or more")
        if self.output_stride is not None and self.output_stride not in OUTPUT_STRIDES:
            raise ConfigError(f"output_stride={self.output_stride}", expected="4, 8, 16 or 32")
        for name, option in (("precision", PrecisionOption), ("backend", BackendOption)):
            if getattr(self, name) not in get_args(option):
                *others, last = get_args(option)
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"{', '.join(others)} or {last}")
        check_tiling(self.tile, self.overlap)
