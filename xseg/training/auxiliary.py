"""Auxiliary head on an inner feature map of the encoder, for training only."""

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
    """Class scores from the encoder's second to last map, for a short path of the gradient to the middle layers.

    The head uses a hook on the encoder; the model is not changed, and saved without the head.

    Args:
        model: model to be trained, whose encoder gets the hook.
        channels: channels of the hidden layer.

    Source: Zhao et al. 2017 (PSPNet), section 3.3: 3x3 convolution, normalisation, ReLU, dropout 0.1, 1x1 convolution.
    """

    def __init__(self, model: SegmentationModel, channels: int = CHANNELS) -> None:
        super().__init__()
        inputs, outputs = model.encoder.out_channels[-2], model.config.outputs
        self.hidden = ConvNormRelu(inputs, channels, spec=NormSpec(), kernel=3)
        self.dropout = nn.Dropout(DROPOUT)
        self.scores = nn.Conv2d(channels, outputs, 1)
        self.class_logits = model.class_logits
        self._heard: Tensor | None = None
        model.encoder.register_forward_hook(self._hear)

    def _hear(self, _encoder: nn.Module, _images: Any, maps: list[Tensor]) -> None:
        self._heard = maps[-2] if self.training else None

    def forward(self, height: int, width: int) -> Tensor:
        """Return logits (N, classes, height, width) for the last batch of the encoder.

        Raises:
            RuntimeError: if there was no batch in training mode.
        """
        if self._heard is None:
            raise RuntimeError("the encoder has not been run in training mode")
        logits = self.class_logits(self.scores(self.dropout(self.hidden(self._heard))))
        self._heard = None
        return resize(logits, height, width)
