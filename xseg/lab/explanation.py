"""The page that explains how an Inception module becomes an Xception, with drawings made from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from xseg.encoders.variants import encoder_spec
from xseg.files.atomic import write_text
from xseg.lab.budget import count_multiply_adds
from xseg.lab.studies import STUDIES
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.nn import inception
from xseg.nn.ablation import Ablation
from xseg.nn.inception import Inception
from xseg.nn.segmented import SegmentedConv2d
from xseg.reports.diagram import Diagram, draw_encoder, draw_inception, separable_module
from xseg.reports.pages import render_page

CHANNELS, TOWER, SIZE = 192, 64, 35  # of the input and of each tower; rows and columns of the map
IMAGE = 299


@dataclass(frozen=True)
class Module:
    """A module on the page.

    Args:
        title: its heading.
        table: what is drawn and counted.
        paragraphs: what it is for.
    """

    title: str
    table: Inception
    paragraphs: tuple[str, ...]

    @property
    def diagram(self) -> Diagram:
        """Its drawing."""
        return draw_inception(self.table)

    @property
    def counts(self) -> dict[str, str]:
        """Sizes and operations for an input of `CHANNELS` channels."""
        return {
            "output channels": str(self.table.out_channels(CHANNELS)),
            "parameters": f"{self.table.parameters(CHANNELS):,}",
            f"multiply-adds, {SIZE}×{SIZE}": f"{self.table.multiply_adds(CHANNELS, SIZE, SIZE) / 1e6:.1f} M",
            "drawn after": self.table.source,
        }


MODULES = (
    Module(
        "The naive module",
        inception.naive(TOWER),
        (
            "What kernel fits is not known beforehand, so several look at the same input and their outputs are "
            "concatenated. A pooling tower passes the input's channels on whole: the output has more channels than the "
            "input, and the next module pays for them.",
        ),
    ),
    Module(
        "With 1×1 reductions",
        inception.reduced(TOWER),
        (
            "GoogLeNet puts 1×1 convolutions in front of the large kernels. They look across channels only, and leave "
            "fewer of them to the kernels that look across space.",
        ),
    ),
    Module(
        "Factorised",
        inception.factorised(TOWER),
        (
            "Two 3×3 convolutions see as far as a 5×5 one, with 18 weights per pair of channels in place of 25, and a "
            "non-linearity more.",
        ),
    ),
    Module(
        "Asymmetric",
        inception.asymmetric(TOWER),
        (
            "An n×n kernel becomes a 1×n and an n×1 one: 2n weights in place of n². On maps of medium size, 12 to 20 "
            "pixels, n = 7 served Inception V3 best.",
        ),
    ),
    Module(
        "The canonical module of Inception V3",
        inception.canonical(TOWER),
        (
            "A convolution has to map correlations across channels and across space at once, with one kernel. A module "
            "like this one factors that: 1×1 convolutions map the input into a few smaller spaces, and 3×3 or 5×5 "
            "convolutions then map each of these. The hypothesis behind Inception, in the paper's words: that both "
            "kinds of correlations “are sufficiently decoupled that it is preferable not to map them jointly”.",
        ),
    ),
    Module(
        "Simplified",
        inception.simplified(TOWER),
        ("Towers of one size, and no pooling: what is left is 1×1, then 3×3, three times side by side.",),
    ),
    Module(
        "Strictly equivalent to it",
        inception.equivalent(TOWER),
        (
            "The 1×1 convolutions all read the same input, so they are one large 1×1 convolution; the 3×3 ones then "
            "each see a segment of its output that overlaps no other. Nothing is computed differently: with the same "
            "weights, both modules give the same numbers, which a test of this project shows.",
            "Drawn like this, a question asks itself: how many segments should there be, and how large? Is a stronger "
            "hypothesis reasonable, that the two kinds of correlations can be mapped entirely separately?",
        ),
    ),
    Module(
        "Extreme",
        inception.extreme(CHANNELS),
        (
            "One segment per channel: the 1×1 convolution maps correlations across channels, and a spatial kernel of "
            "its own then looks at every output channel.",
        ),
    ),
    Module(
        "The separable convolution",
        separable_module(CHANNELS, CHANNELS),
        (
            "Almost the same thing, and known for years before. Two differences are left. The order: a separable "
            "convolution does the depthwise half first. And the non-linearity: both halves of an Inception module have "
            "a ReLU behind them, a separable convolution has none between its halves. The first difference should not "
            "matter, as modules are stacked; the second does, and is measured in the paper's Figure 10.",
        ),
    ),
)
SEGMENTS = (1, 2, 3, 4, 8, 16, 64, CHANNELS)


@dataclass(frozen=True)
class Knob:
    """The same layer at one number of segments.

    Args:
        segments: of the spatial half.
        name: what it is at that number; empty between the known points.
        parameters: of both halves.
        multiply_adds: of both halves over a map of `SIZE` x `SIZE`.
    """

    segments: int
    name: str
    parameters: int
    multiply_adds: int


def knobs() -> list[Knob]:
    """Return what turning the number of segments costs, from a full convolution to a depthwise one."""
    names = {1: "a full convolution", 3: "Inception's", 4: "Inception's", CHANNELS: "Xception's"}
    found = []
    for segments in SEGMENTS:
        with torch.device("meta"):
            spatial = SegmentedConv2d(CHANNELS, segments=segments)
            pointwise = torch.nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
            layer = torch.nn.Sequential(spatial, pointwise)
            count = sum(parameter.numel() for parameter in layer.parameters())
            adds = count_multiply_adds(layer, torch.empty(1, CHANNELS, SIZE, SIZE))
        found.append(Knob(segments, names.get(segments, ""), count, adds))
    return found


def classifier_counts(*, fully_connected: Sequence[int] = (), ablation: Ablation | None = None) -> dict[str, str]:
    """Return what an Xception for 1000 classes counts."""
    config = ClassifierConfig(fully_connected=tuple(fully_connected), ablation=ablation or Ablation())
    with torch.device("meta"):
        model = XceptionClassifier(config).eval()
        adds = count_multiply_adds(model, torch.empty(1, 3, IMAGE, IMAGE))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": f"{parameters:,}", f"multiply-adds, {IMAGE}×{IMAGE}": f"{adds / 1e9:.2f} G"}


def write_explanation(path: Path) -> Path:
    """Write the page, whole or not at all; it needs no other file and no network.

    Returns:
        The path.
    """
    spec = encoder_spec("xception")
    variants = {
        "as it is": classifier_counts(),
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
