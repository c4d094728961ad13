"""A model without its last resize, as computed by backends."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.models.segmentation import SegmentationModel
from xseg.nn.resize import pad, padded_size

SMALLEST = 33  # smallest height and width for encoders with any padding; smaller images are padded


class CoarseNetwork(nn.Module):
    """A model without its last resize, for padded images; it shares the model's weights.

    Scores of modules from outside the package are used unchanged, at the size of the image.

    Args:
        model: module from normalised images (N, C, H, W) to logits (N, classes, H, W).

    Attributes:
        smallest: smallest height and width of an image.
        multiple: number of which height and width are multiples.
        stride: ratio of the image size to the size of the scores, with aligned corners.
        own: whether the model is one of the project's.
    """

    __constants__ = ("own",)  # for TorchScript, which compiles only the branch that is taken

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.smallest = self.multiple = self.stride = 1
        self.own = isinstance(model, SegmentationModel)
        if isinstance(model, SegmentationModel):
            self.smallest = max(model.smallest, SMALLEST)
            self.multiple, self.stride = model.multiple, model.stride
        self.eval()

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after padding."""
        settings = {"smallest": self.smallest, "multiple": self.multiple}
        return padded_size(height, **settings), padded_size(width, **settings)

    def pad(self, images: Tensor) -> Tensor:
        """Pad (N, C, H, W) at the bottom and the right to `padded_size` by repeating the border."""
        padded = pad(images, *self.padded_size(images.shape[-2], images.shape[-1]))
        return images if padded is images else padded.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Score padded images (N, C, H, W) for every class, (N, classes, h, w), corner pixels on corner pixels."""
        if self.own:
            coarse: Tensor = self.model.coarse(images)  # type: ignore[operator]
            return coarse
        scores: Tensor = self.model(images)
        return scores
