"""A complete model as one graph, from stored pixel values to labels, probabilities or logits at image size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]
from torch.nn import functional as F

from xseg.errors import ConfigError
from xseg.exporting.options import GraphOptions
from xseg.images.normalization import Normalization
from xseg.labels.decision import PLAIN, Decision
from xseg.models.coarse import SMALLEST, CoarseNetwork
from xseg.nn.resize import padded_size

CHUNK = 8  # number of classes to resize at once if only the best one is needed


class ImageGraph(nn.Module):
    """A segmentation model with normalisation of stored values, resizing and selection of labels.

    The `network`, the model up to its coarse scores, shares the weights of the model.

    Raises:
        ConfigError: if the options do not fit the model.
    """

    def __init__(
        self,
        network: CoarseNetwork,
        normalization: Normalization,
        decision: Decision = PLAIN,
        *,
        classes: int,
        options: GraphOptions,
    ) -> None:
        super().__init__()
        if options.input == "uint8" and normalization.maximum > 255:
            got = f"input=uint8 for a model of images up to {normalization.maximum:g}"
            raise ConfigError(got, expected="input=float or unit")
        if options.result == "confidence" and decision.overlapping:
            raise ConfigError("result=confidence for overlapping classes", expected="labels, probabilities or logits")
        self.network = network
        self.classes, self.chunk = classes, CHUNK
        self.result = str(options.result)
        self.channels_last = options.layout == "nhwc"
        self.fixed = len(options.size) == 2
        self.overlapping, self.plain = decision.overlapping, decision.plain
        self.smallest, self.multiple = max(network.smallest, SMALLEST), network.multiple
        maximum = 1.0 if options.input == "unit" else normalization.maximum
        mean = torch.tensor(normalization.mean, dtype=torch.float64)
        std = torch.tensor(normalization.std, dtype=torch.float64)
        self.limits = nn.Buffer(torch.from_numpy(decision.limits(classes))[:, None, None])
        self.scale = nn.Buffer((1 / (std * maximum)).float()[:, None, None])
        self.shift = nn.Buffer((-mean / std).float()[:, None, None])
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Segment images.

        Args:
            images: images with the layout and values of the options, (N, H, W, C) or (N, C, H, W).

        Returns:
            Labels (N, H, W), uint8 up to 256 classes, else int32, or (N, H, W, classes) uint8 for overlapping classes;
            for "confidence" also their probabilities (N, H, W) float32. Or probabilities or logits (N, classes, H, W)
            float32.
        """
        if self.channels_last:
            images = images.permute(0, 3, 1, 2)
        height, width = images.shape[2], images.shape[3]
        rows, columns = self._padded(height), self._padded(width)
        if not self.fixed:
            # Repeating the last row and column by index gives one graph for all sizes, with or without padding.
            images = images.index_select(2, torch.arange(rows, device=images.device).clamp(max=height - 1))
            images = images.index_select(3, torch.arange(columns, device=images.device).clamp(max=width - 1))
        images = images.to(torch.float32)
        if self.fixed and (rows != height or columns != width):
            images = F.pad(images, [0, columns - width, 0, rows - height], mode="replicate")
        coarse = self.network(images * self.scale + self.shift)
        if self.result == "logits":
            return [self._cropped(_resized(coarse, rows, columns), height, width)]
        if self.result == "probabilities":
            scores = _resized(coarse, rows, columns)
            return [self._cropped(scores.sigmoid() if self.overlapping else scores.softmax(1), height, width)]
        if self.overlapping:
            return [self._cropped(self._bands(coarse, rows, columns), height, width).permute(0, 2, 3, 1)]
        labels_and_confidence = [self._cropped(maps, height, width) for maps in self._labels(coarse, rows, columns)]
        return labels_and_confidence[: 1 + (self.result == "confidence")]

    def _padded(self, size: int) -> int:
        if self.fixed:
            return padded_size(size, smallest=self.smallest, multiple=self.multiple)
        if is_scripting():  # noqa: SIM108 - TorchScript compiles a statement's branch, not an expression's
            least = max(size, self.smallest)
        else:
            least = _larger(size, self.smallest)
        if self.multiple == 1:  # avoids a division, which takes torch's exporter long
            return least
        return (least + self.multiple - 1) // self.multiple * self.multiple

    def _cropped(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Crop (N, ..., H, W) to the image: by index if sizes are free, as slices would fix them."""
        if self.fixed:
            return maps[..., :height, :width]
        maps = maps.index_select(-2, torch.arange(height, device=maps.device))
        return maps.index_select(-1, torch.arange(width, device=maps.device))

    def _bands(self, coarse: Tensor, rows: int, columns: int) -> Tensor:
        """Return 0 or 1 for each of overlapping classes, (N, classes, H, W) uint8, `CHUNK` classes at a time."""
        bands: list[Tensor] = []
        for start in range(0, self.classes, self.chunk):
            part = _resized(coarse[:, start : start + self.chunk], rows, columns).sigmoid()
            bands.append((part >= self.limits[start : start + self.chunk]).to(torch.uint8))
        return torch.cat(bands, 1)

    def _labels(self, coarse: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return labels and their probabilities, `CHUNK` classes at a time to save memory."""
        first = _resized(coarse[:, : self.chunk], rows, columns)
        if not self.plain:
            probability = torch.sigmoid(first[:, 1] - first[:, 0])  # of the second of two classes
            chosen = probability >= self.limits
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


def _larger(first: int, second: int) -> int:
    """Return the larger number, also of sizes that are symbols in a graph of torch.export."""
    return torch.sym_max(first, second)  # type: ignore[return-value]
