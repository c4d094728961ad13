"""The network in torch: normalisations folded, channels_last, in the precision asked for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.inference.device import precision_context, torch_type
from xseg.inference.folding import folded
from xseg.inference.options import BackendName
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import Precision


class TorchBackend:
    """Computes a network in torch.

    The project's own models are copied, once, with their normalisations folded into the convolutions and the weights
    in the precision; other modules are run as they are, under autocast.

    Args:
        network: what to compute, on the device.
        device: where.
        precision: in what.
    """

    name: BackendName = "torch"
    workers = 1

    def __init__(self, network: CoarseNetwork, *, device: torch.device, precision: Precision) -> None:
        self.precision = precision
        self._device = device
        self._own = isinstance(network.model, SegmentationModel)
        self._network: nn.Module = network
        if self._own:
            fast = folded(network).to(torch_type(precision))
            self._network = fast.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images; see `Backend`."""
        if self._own:
            scores: Tensor = self._network(images.to(torch_type(self.precision)))
        else:
            with precision_context(self._device, self.precision):
                scores = self._network(images)
        return scores.float()
