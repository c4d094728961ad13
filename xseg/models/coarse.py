"""A model up to its class scores: what backends compute, before anything is resized to the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.models.segmentation import SegmentationModel
from xseg.nn.resize import pad, padded_size

SMALLEST = 33  # rows and columns from which the encoders work on any padding; smaller images are padded to it


class CoarseNetwork(nn.Module):
    """A model without its last resize, for images that are already padded; it shares the model's weights.

    The scores of a module that is not the project's own are taken as they are, at the image's size.

    Args:
        model: maps normalised images (N, C, H, W) to logits (N, classes, H, W).

    Attributes:
        smallest: least number of rows and columns of an image.
        multiple: number that rows and columns are multiples of.
        stride: size of an image over size of its scores, where the scores' corners lie over the image's.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.smallest = self.multiple = self.stride = 1
        if isinstance(model, SegmentationModel):
            self.smallest = max(model.smallest, SMALLEST)
            self.multiple, self.stride = model.multiple, model.stride
        self.eval()

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns that the network wants for an image."""
        settings = {"smallest": self.smallest, "multiple": self.multiple}
        return padded_size(height, **settings), padded_size(width, **settings)

    def pad(self, images: Tensor) -> Tensor:
        """Pad (N, C, H, W) at the bottom and the right to `padded_size` by repeating the border."""
        padded = pad(images, *self.padded_size(images.shape[-2], images.shape[-1]))
        return images if padded is images else padded.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Score padded images (N, C, H, W) for every class, (N, classes, h, w), corner pixels on corner pixels."""
        if isinstance(self.model, SegmentationModel):
            return self.model.coarse(images)
        scores: Tensor = self.model(images)
        return scores
