"""A model up to its class scores: what backends compute, before anything is resized to the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xseg.models.deeplabv3plus import LOW_LEVEL, DeepLabV3Plus
from xseg.models.segmentation import SegmentationModel

SMALLEST = 33  # rows and columns from which the encoders work on any padding; smaller images are padded to it


class CoarseNetwork(nn.Module):
    """A model without its last resize, for images that are already padded.

    This one is for modules that are not the project's own, whose scores are taken as they come.

    Args:
        model: maps normalised images (N, C, H, W) to logits (N, classes, H, W).
    """

    smallest = 1  # rows and columns that an image has to have
    multiple = 1  # that they have to be a multiple of
    stride = 1  # size of an image over size of its scores, where the scores' corners lie over the image's

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns that the network wants for an image."""
        rows, columns = (-(-max(size, self.smallest) // self.multiple) * self.multiple for size in (height, width))
        return rows, columns

    def pad(self, images: Tensor) -> Tensor:
        """Pad (N, C, H, W) at the bottom and the right to `padded_size` by repeating the border."""
        height, width = images.shape[-2:]
        rows, columns = self.padded_size(height, width)
        if (rows, columns) == (height, width):
            return images
        padded = F.pad(images, [0, columns - width, 0, rows - height], mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Score padded images (N, C, H, W) for every class, (N, classes, h, w), corner pixels on corner pixels."""
        scores: Tensor = self.model(images)
        return scores


class CoarseDeepLab(CoarseNetwork):
    """DeepLabV3+ up to its logits at stride 4, or at the output stride if it has no decoder."""

    smallest = SMALLEST

    def __init__(self, model: DeepLabV3Plus) -> None:
        super().__init__(model)
        self.model: DeepLabV3Plus = model
        self.stride = model.encoder.strides[LOW_LEVEL if model.config.decoder else -1]

    def forward(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W), (N, classes, ceil(H / stride), ceil(W / stride))."""
        features = self.model.encoder(images)
        scores: Tensor = self.model.segmentation_head(self.model.decoder(features[LOW_LEVEL], features[-1]))
        return scores


class CoarseSmp(CoarseNetwork):
    """One of SMP's decoders up to its logits, before its head enlarges them."""

    smallest = SMALLEST

    def __init__(self, model: SegmentationModel, *, multiple: int, smallest: int) -> None:
        super().__init__(model)
        self.model: SegmentationModel = model
        self.multiple = multiple
        self.smallest = max(smallest, SMALLEST)

    def forward(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W) whose sides are multiples of `multiple`."""
        decoded = self.model.decoder(self.model.encoder(images))
        head: nn.Sequential = self.model.segmentation_head
        convolution, enlargement, *rest = head.children()
        scores: Tensor = convolution(decoded)
        if not _is_bilinear(enlargement):
            scores = enlargement(scores)
        for part in rest:
            scores = part(scores)
        return scores


def coarse_network(model: nn.Module) -> CoarseNetwork:
    """Return the part of a model that computes its class scores; it shares the model's weights.

    Args:
        model: one of the project's, or any module that maps images (N, C, H, W) to logits (N, classes, H, W).
    """
    if not isinstance(model, SegmentationModel):
        return CoarseNetwork(model).eval()
    if isinstance(model, DeepLabV3Plus):
        return CoarseDeepLab(model).eval()
    from xseg.models.smp_decoders import SmpModel  # already imported where there is such a model

    if not isinstance(model, SmpModel):
        return CoarseNetwork(model).eval()
    return CoarseSmp(model, multiple=model.multiple, smallest=model.smallest).eval()


def _is_bilinear(module: nn.Module) -> bool:
    """Tell whether a module resizes as `xseg.nn.resize` does, so that it may be left to a later resize."""
    return isinstance(module, nn.Upsample) and module.mode == "bilinear" and module.align_corners is True
