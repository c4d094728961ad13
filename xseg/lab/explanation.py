"""Page that explains how an Inception module becomes an Xception, with diagrams drawn from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.files.atomic import write_text
from xseg.lab.budget import costs
from xseg.lab.studies import STUDIES
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.nn import inception
from xseg.nn.ablation import Ablation
from xseg.nn.inception import Inception
from xseg.nn.segmented import SegmentedConv2d
from xseg.reports.diagram import Diagram, draw_encoder, draw_inception, separable_module
from xseg.reports.pages import render_page

CHANNELS, TOWER, SIZE = 192, 64, 35  # channels of the input and of each tower; height and width of the map
IMAGE = 299


@dataclass(frozen=True)
class Module:
    """A module on the page; an empty line in the text starts a paragraph."""

    title: str
    table: Inception
    text: str

    @property
    def diagram(self) -> Diagram:
        """Diagram of the module."""
        return draw_inception(self.table)

    @property
    def counts(self) -> dict[str, str]:
        """Sizes and operations for an input of `CHANNELS` channels."""
        return {
            "output channels": str(self.table.out_channels(CHANNELS)),
            "parameters": f"{self.table.parameters(CHANNELS):,}",
            f"multiply-adds, {SIZE}×{SIZE}": f"{self.table.multiply_adds(CHANNELS, SIZE, SIZE) / 1e6:.1f} M",
            "source": self.table.source,
        }


MODULES = (
    Module(
        "The naive module",
        inception.naive(TOWER),
        "The best kernel size is not known in advance, so kernels of several sizes read the same input and their "
        "outputs are concatenated. A pooling tower keeps all channels of the input: the output has more channels "
        "than the input, and the next module becomes more expensive.",
    ),
    Module(
        "With 1×1 reductions",
        inception.reduced(TOWER),
        "GoogLeNet adds 1×1 convolutions before the large kernels. They combine channels only, and leave fewer "
        "channels for the spatial kernels.",
    ),
    Module(
        "Factorised",
        inception.factorised(TOWER),
        "Two 3×3 convolutions have the same receptive field as a 5×5 one, with 18 instead of 25 weights per pair "
        "of channels and one more non-linearity.",
    ),
    Module(
        "Asymmetric",
        inception.asymmetric(TOWER),
        "An n×n kernel becomes a 1×n and an n×1 kernel: 2n instead of n² weights. On maps of medium size, 12 to 20 "
        "pixels, n = 7 worked best in Inception V3.",
    ),
    Module(
        "The canonical module of Inception V3",
        inception.canonical(TOWER),
        "A convolution maps correlations across channels and across space at once, with one kernel. This module "
        "separates them: 1×1 convolutions map the input into a few smaller spaces, and 3×3 or 5×5 convolutions "
        "then map each of these. The hypothesis of Inception, in the paper's words: both kinds of correlations "
        "“are sufficiently decoupled that it is preferable not to map them jointly”.",
    ),
    Module(
        "Simplified",
        inception.simplified(TOWER),
        "With towers of one size and without pooling, three parallel towers of 1×1 and 3×3 remain.",
    ),
    Module(
        "A strictly equivalent module",
        inception.equivalent(TOWER),
        "All 1×1 convolutions read the same input, so they form one large 1×1 convolution; each 3×3 convolution "
        "then reads its own segment of the output. With the same weights, both modules give the same values, as a "
        "test of this project shows.\n\n"
        "This view raises a question: how many segments should there be, and how large? Is the stronger hypothesis "
        "reasonable that both kinds of correlations can be mapped entirely separately?",
    ),
    Module(
        "Extreme",
        inception.extreme(CHANNELS),
        "One segment per channel: the 1×1 convolution maps correlations across channels, and each output channel "
        "then has its own spatial kernel.",
    ),
    Module(
        "The separable convolution",
        separable_module(CHANNELS, CHANNELS),
        "This operation is almost the same and had been known for years. Two differences remain. The order: a "
        "separable convolution starts with the depthwise half. The non-linearity: both halves of an Inception "
        "module are followed by a ReLU, while a separable convolution has none between its halves. The first "
        "difference should not matter, as modules are stacked; the second does, as the paper's Figure 10 shows.",
    ),
)
SEGMENTS = (1, 2, 3, 4, 8, 16, 64, CHANNELS)


@dataclass(frozen=True)
class Knob:
    """A separable layer with a number of segments, and the costs of both halves on a map of `SIZE` x `SIZE`."""

    segments: int
    name: str
    parameters: int
    multiply_adds: int


def knobs() -> list[Knob]:
    """Return the costs of the layer by number of segments, from a full to a depthwise convolution."""
    names = {1: "full convolution", 3: "Inception", 4: "Inception", CHANNELS: "Xception"}
    shape = (1, CHANNELS, SIZE, SIZE)
    return [Knob(each, names.get(each, ""), *costs(partial(_separable, each), shape)) for each in SEGMENTS]


def _separable(segments: int) -> nn.Module:
    return nn.Sequential(SegmentedConv2d(CHANNELS, segments=segments), nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False))


def classifier_counts(*, fully_connected: Sequence[int] = (), ablation: Ablation | None = None) -> dict[str, str]:
    """Return the parameters and multiply-adds of an Xception for 1000 classes."""
    config = ClassifierConfig(fully_connected=tuple(fully_connected), ablation=ablation or Ablation())
    parameters, adds = costs(partial(XceptionClassifier, config), (1, 3, IMAGE, IMAGE))
    return {"parameters": f"{parameters:,}", f"multiply-adds, {IMAGE}×{IMAGE}": f"{adds / 1e9:.2f} G"}


def write_explanation(path: Path) -> Path:
    """Write the page, completely or not at all. It is self-contained and needs no network."""
    spec = encoder_spec("xception")
    variants = {
        "unchanged": classifier_counts(),
        "without residual connections": classifier_counts(ablation=Ablation(residual=False)),
        "with two layers of 4096 units": classifier_counts(fully_connected=(4096, 4096)),
    }
    values = {
        "title": "From Inception to Xception",
        "modules": MODULES,
        "channels": CHANNELS,
        "tower": TOWER,
        "size": SIZE,
        "knobs": knobs(),
        "xception": draw_encoder(spec),
        "convolutions": 2 + sum(len(stage.widths) for stage in spec.stages),
        "blocks": len(spec.stages),
        "residual": sum(stage.skip != "none" for stage in spec.stages),
        "variants": variants,
        "studies": list(STUDIES.values()),
    }
    return write_text(path, render_page("explain.html", values))
