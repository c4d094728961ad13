"""The studies: which networks are compared, and what the paper found. Imports no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from xseg.errors import ConfigError
from xseg.nn.ablation import Ablation

FULLY_CONNECTED = 2.0  # units of a fully connected layer over the encoder's features: 4096 over 2048 in the paper


@dataclass(frozen=True)
class Variant:
    """One network of a study.

    Args:
        name: as legends and files call it.
        ablation: how its encoder differs from Xception's table.
        fully_connected: number of layers between pooling and the outputs, each of twice the encoder's features.
    """

    name: str
    ablation: Ablation = field(default_factory=Ablation)
    fully_connected: int = 0


@dataclass(frozen=True)
class Study:
    """Networks of equal numbers of parameters, side by side.

    Args:
        name: how it is asked for.
        title: of its figure.
        question: what it asks.
        paper: what the paper says, and where.
        variants: the networks; the first one's parameters are what the others' widths are solved for.

    Raises:
        ConfigError: if two variants have one name.
    """

    name: str
    title: str
    question: str
    paper: str
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ConfigError(f"variants {names}", expected="a name of its own for each")


XCEPTION = Variant("Xception")
STUDIES = {
    study.name: study
    for study in (
        Study(
            "segments",
            "Segments of the channels",
            "Does accuracy rise as the spatial convolution sees ever smaller segments of the channels?",
            "Inception modules lie between a full convolution (one segment) and a separable one (a segment per "
            "channel); the paper's hypothesis is that cross-channel and spatial correlations can be mapped entirely "
            "separately (section 1.2). It compares the two ends through Inception V3 and Xception only, and leaves the "
            "points between open (section 5).",
            (
                XCEPTION,
                Variant("8 segments", Ablation(segments=8)),
                Variant("4 segments", Ablation(segments=4)),
                Variant("1 segment (full convolution)", Ablation(segments=1)),
            ),
        ),
        Study(
            "order",
            "Order of the two halves",
            "Does it matter whether the 1x1 convolution comes before or after the spatial one?",
            "The paper holds the order to be unimportant, because the operations are stacked (section 1.2); it does "
            "not measure it.",
            (XCEPTION, Variant("pointwise first", Ablation(order="pointwise_first"))),
        ),
        Study(
            "activation",
            "What lies between the two halves",
            "Does a non-linearity between depthwise and pointwise convolution help?",
            "Without any, training converges faster and ends higher than with ReLU or ELU (section 4.7, Figure 10). "
            "The paper's guess: a non-linearity loses information where each feature map is one channel deep.",
            (
                Variant("no intermediate activation"),
                Variant("intermediate ReLU", Ablation(between="relu")),
                Variant("intermediate ELU", Ablation(between="elu")),
            ),
        ),
        Study(
            "residual",
            "Residual connections",
            "Do the residual connections help convergence and final accuracy?",
            "They are essential in helping with convergence, both in speed and in final accuracy (section 4.6, "
            "Figure 9) - for this architecture, and with the optimisation settings of the residual one.",
            (Variant("residual"), Variant("not residual", Ablation(residual=False))),
        ),
        Study(
            "fully_connected",
            "Fully connected layers before the outputs",
            "Do two fully connected layers before logistic regression help?",
            "On JFT, two layers of 4096 units made both Inception V3 and Xception better: 6.70 to 6.78 FastEval14k "
            "MAP@100 for Xception (section 4.5.1, Table 2). There they are added; here the network around them is made "
            "smaller in exchange.",
            (XCEPTION, Variant("two fully connected layers", fully_connected=2)),
        ),
    )
}


def study_named(name: str) -> Study:
    """Return a study.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise ConfigError(f"study {name!r}", expected=f"one of {', '.join(STUDIES)}", remedy=remedy)
    return STUDIES[name]
