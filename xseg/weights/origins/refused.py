"""Known weights that are refused with a reason, because no network here gives the same outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xseg.errors import WeightsError
from xseg.weights.formats.source import Source


@dataclass(frozen=True)
class Refusal:
    """A project whose weights cannot be converted; each signature matches a name in every source of it."""

    name: str
    signature: tuple[str, ...]
    reason: str


REFUSALS = (
    Refusal(
        "jfzhang95/pytorch-deeplab-xception",
        (r"(backbone\.)?block20\.rep\..*", r"(backbone\.)?conv5\.pointwise\.weight"),
        "its low-level map is block 1's output of 128 channels, the last convolution of a block is never dilated and "
        "lacks its normalisation, and its blocks do not correspond to DeepLab's",
    ),
    Refusal(
        "VainF/DeepLabV3Plus-Pytorch",
        (r"backbone\.block12\.rep\..*", r"classifier\.(aspp|classifier)\..*"),
        "its dilated exit convolutions shrink the map, which is then stretched back, and its last normalisation and "
        "ReLU are skipped",
    ),
    Refusal(
        "PaddleSeg",
        (r"(.*\.)?_exit_flow_2\._conv1\._conv1\.weight",),
        "its entry flow ignores the strides of the table, its exit dilation is fixed, and its low-level map is block "
        "1's output of 128 channels",
    ),
    Refusal(
        "TF DeepLab's dense prediction cell (X-71 DPC)",
        (r"(.*/)?meta_architecture/.*",),
        "the searched cell replaces the ASPP and is not implemented; xception_71_2018_05_09 has the encoder",
    ),
)


def refuse(source: Source) -> None:
    """Refuse a source from a project that cannot be converted faithfully.

    Raises:
        WeightsError: if the project is known, with the reason.
    """
    for refusal in REFUSALS:
        if all(any(re.fullmatch(pattern, name) for name in source.tensors) for pattern in refusal.signature):
            raise WeightsError(
                f"{source.name} comes from {refusal.name}, which cannot be converted faithfully: {refusal.reason}",
                remedy="use the weights of TF DeepLab, timm or Keras",
            )
