"""A whole model as one graph: stored pixel values in, labels, probabilities or logits at the image's size out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]
from torch.nn import functional as F

from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.models.coarse import SMALLEST, CoarseNetwork
from xseg.nn.resize import padded_size

InputKind: TypeAlias = Literal["uint8", "float", "unit"]
Result: TypeAlias = Literal["labels", "confidence", "probabilities", "logits"]
Layout: TypeAlias = Literal["nhwc", "nchw"]
CHUNK = 8  # classes that are resized to the image at once where only the best one is asked for


@dataclass(frozen=True)
class GraphOptions:
    """What an exported model takes and gives.

    Args:
        input: values of the images: uint8 (0 to 255), float (the stored values as float32), or unit (float32 from 0
            to 1).
        result: labels (the best class of every pixel); confidence (labels, and the probability of each label);
            probabilities of all classes; or logits of all classes.
        layout: order of the axes of the images: nhwc or nchw. Scores of all classes are always (N, classes, H, W).
        size: rows and columns of the images if they are fixed, one image at a time; any number and size otherwise.
        threshold: probability from which on the second of two classes is the label, above 0 and below 1; by default
            the more probable class is.

    Raises:
        ConfigError: if a value is out of range.
    """

    input: InputKind = "uint8"
    result: Result = "labels"
    layout: Layout = "nhwc"
    size: tuple[int, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("input", InputKind), ("result", Result), ("layout", Layout)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"one of {', '.join(get_args(allowed))}")
        object.__setattr__(self, "size", tuple(self.size))
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            raise ConfigError(f"size={self.size}", expected="rows and columns of 1 or more")
        if self.threshold is not None:
            if not 0 < self.threshold < 1:
                raise ConfigError(f"threshold={self.threshold}", expected="above 0 and below 1")
            if self.result not in ("labels", "confidence"):
                raise ConfigError(f"threshold with result={self.result}", expected="result=labels or confidence")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return ("labels", "confidence") if self.result == "confidence" else (self.result,)


class ImageGraph(nn.Module):
    """A segmentation model with normalisation before it, and resizing and choosing of labels after it.

    Args:
        network: the model up to its coarse scores; it shares the model's weights.
        normalization: how stored values become the model's input.
        classes: number of classes.
        options: what the graph takes and gives.

    Raises:
        ConfigError: if the options do not fit the model.
    """

    def __init__(
        self, network: CoarseNetwork, normalization: Normalization, *, classes: int, options: GraphOptions
    ) -> None:
        super().__init__()
        if options.input == "uint8" and normalization.maximum > 255:
            raise ConfigError(
                f"input=uint8 for a model of images up to {normalization.maximum:g}", expected="input=float or unit"
            )
        if options.threshold is not None and classes != 2:
            raise ConfigError(f"threshold={options.threshold} for {classes} classes", expected="a model of two")
        self.network = network
        self.classes, self.chunk = classes, CHUNK
        self.result = str(options.result)
        self.channels_last = options.layout == "nhwc"
        self.fixed = len(options.size) == 2
        # A label of 1 needs a logit this much above the other: the sigmoid of the difference is its probability.
        self.margin = 0.0 if options.threshold is None else float(torch.logit(torch.tensor(options.threshold).double()))
        self.smallest, self.multiple = max(network.smallest, SMALLEST), network.multiple
        maximum = 1.0 if options.input == "unit" else normalization.maximum
        mean = torch.tensor(normalization.mean, dtype=torch.float64)
        std = torch.tensor(normalization.std, dtype=torch.float64)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (1 / (std * maximum)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Segment images.

        Args:
            images: (N, H, W, C) or (N, C, H, W), by the options' layout, values by their input.

        Returns:
            Labels (N, H, W), uint8 up to 256 classes, else int32; with their probability (N, H, W) float32 for
            "confidence". Or probabilities or logits (N, classes, H, W) float32.
        """
        if self.channels_last:
            images = images.permute(0, 3, 1, 2)
        height, width = images.shape[2], images.shape[3]
        rows, columns = self._padded(height), self._padded(width)
        if not self.fixed:
            # The last row and column are repeated by index, which gives one graph for all sizes, with padding or none.
            images = images.index_select(2, torch.arange(rows, device=images.device).clamp(max=height - 1))
            images = images.index_select(3, torch.arange(columns, device=images.device).clamp(max=width - 1))
        images = images.to(torch.float32)
        if self.fixed and (rows != height or columns != width):
            images = F.pad(images, [0, columns - width, 0, rows - height], mode="replicate")
        coarse = self.network(images * self.scale + self.shift)
        if self.result == "logits":
            return [self._cropped(_resized(coarse, rows, columns), height, width)]
        if self.result == "probabilities":
            return [self._cropped(_resized(coarse, rows, columns).softmax(1), height, width)]
        labels, confidence = self._labels(coarse, rows, columns)
        labels = self._cropped(labels, height, width)
        if self.result == "confidence":
            return [labels, self._cropped(confidence, height, width)]
        return [labels]

    def _padded(self, size: int) -> int:
        if self.fixed:
            return padded_size(size, smallest=self.smallest, multiple=self.multiple)
        if is_scripting():  # noqa: SIM108 - TorchScript compiles a statement's branch, not an expression's
            least = max(size, self.smallest)
        else:
            least = torch.sym_max(size, self.smallest)  # type: ignore[assignment]  # an int here, too
        if self.multiple == 1:  # nothing to divide, which torch's exporter spends long on
            return least
        return (least + self.multiple - 1) // self.multiple * self.multiple

    def _cropped(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Cut (N, …, H, W) to the image: by index where sizes are free, for slices would fix them."""
        if self.fixed:
            return maps[..., :height, :width]
        maps = maps.index_select(-2, torch.arange(height, device=maps.device))
        return maps.index_select(-1, torch.arange(width, device=maps.device))

    def _labels(self, coarse: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return labels and their probabilities, some classes at a time: the map of all classes is never held."""
        first = _resized(coarse[:, : self.chunk], rows, columns)
        if self.margin != 0.0:
            second = first[:, 1] - first[:, 0]
            chosen = second >= self.margin
            probability = torch.sigmoid(second)
            return chosen.to(torch.uint8), torch.where(chosen, probability, 1 - probability)
        best, labels = first.max(1)
        total = best
        if self.result == "confidence":
            total = (first - best[:, None]).exp().sum(1)
        for start in range(self.chunk, self.classes, self.chunk):
            part = _resized(coarse[:, start : start + self.chunk], rows, columns)
            highest, index = part.max(1)
            labels = torch.where(highest > best, index + start, labels)
            higher = torch.maximum(best, highest)
            if self.result == "confidence":
                total = total * (best - higher).exp() + (part - higher[:, None]).exp().sum(1)
            best = higher
        return labels.to(torch.uint8 if self.classes <= 256 else torch.int32), 1 / total


def _resized(scores: Tensor, rows: int, columns: int) -> Tensor:
    return F.interpolate(scores, size=[rows, columns], mode="bilinear", align_corners=True)
