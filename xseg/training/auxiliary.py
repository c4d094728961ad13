"""A second head over an inner map of the encoder, which only training has."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from xseg.models.segmentation import SegmentationModel
from xseg.nn.aspp import ConvNormRelu
from xseg.nn.norm import NormSpec
from xseg.nn.resize import resize

CHANNELS = 256
DROPOUT = 0.1


class AuxiliaryHead(nn.Module):
    """Class scores from the encoder's last map but one, so that the gradient reaches the middle by a short way.

    The head listens to the encoder's output; the model itself knows nothing of it and is saved without it.

    Args:
        model: the model that it is trained beside; its encoder is listened to from now on.
        channels: of the head's only hidden map.

    Source: Zhao et al. 2017 (PSPNet), section 3.3: 3x3 convolution, normalisation, ReLU, dropout 0.1, 1x1 convolution.
    """

    def __init__(self, model: SegmentationModel, channels: int = CHANNELS) -> None:
        super().__init__()
        inputs, classes = model.encoder.out_channels[-2], model.config.classes
        self.hidden = ConvNormRelu(inputs, channels, spec=NormSpec(), kernel=3)
        self.dropout = nn.Dropout(DROPOUT)
        self.scores = nn.Conv2d(channels, classes, 1)
        self._heard: Tensor | None = None
        model.encoder.register_forward_hook(self._hear)

    def _hear(self, _encoder: nn.Module, _images: Any, maps: list[Tensor]) -> None:
        self._heard = maps[-2] if self.training else None

    def forward(self, height: int, width: int) -> Tensor:
        """Return logits (N, classes, height, width) of the images that the encoder saw last.

        Raises:
            RuntimeError: if it saw none while training.
        """
        if self._heard is None:
            raise RuntimeError("the encoder has not been run in training mode")
        logits = self.scores(self.dropout(self.hidden(self._heard)))
        self._heard = None
        return resize(logits, height, width)
