"""Studies: networks to compare, and the findings of the paper. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from xseg.errors import ConfigError, unknown_name
from xseg.nn.ablation import Ablation

FULLY_CONNECTED = 2.0  # ratio of a fully connected layer's units to the encoder's features: 4096 / 2048 in the paper


@dataclass(frozen=True)
class Variant:
    """One network of a study.

    Args:
        name: name in legends and file names.
        ablation: changes to the Xception encoder.
        fully_connected: number of layers between pooling and outputs, each with twice the encoder's features.
    """

    name: str
    ablation: Ablation = field(default_factory=Ablation)
    fully_connected: int = 0


@dataclass(frozen=True)
class Study:
    """A comparison of networks with equal numbers of parameters.

    Args:
        name: name of the study.
        title: title of its figure.
        question: question of the study.
        paper: finding of the paper, with section.
        variants: networks; the widths of the others are chosen to match the parameters of the first.

    Raises:
        ConfigError: if two variants have the same name.
    """

    name: str
    title: str
    question: str
    paper: str
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ConfigError(f"variants {names}", expected="a different name for each")


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
            "separately (section 1.2). It compares only the two ends, as Inception V3 and Xception, and does not test "
            "the points between (section 5).",
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
            "The paper considers the order unimportant, because the operations are stacked (section 1.2), but does "
            "not measure it.",
            (XCEPTION, Variant("pointwise first", Ablation(order="pointwise_first"))),
        ),
        Study(
            "activation",
            "Non-linearity between the two halves",
            "Does a non-linearity between depthwise and pointwise convolution help?",
            "Without one, training converges faster and ends higher than with ReLU or ELU (section 4.7, Figure 10). "
            "The paper suggests that a non-linearity loses information if feature maps are one channel deep.",
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
            "They are essential for convergence, both in speed and in final accuracy (section 4.6, Figure 9), for this "
            "architecture and with the optimisation settings of the residual network.",
            (Variant("residual"), Variant("not residual", Ablation(residual=False))),
        ),
        Study(
            "fully_connected",
            "Fully connected layers before the outputs",
            "Do two fully connected layers before logistic regression help?",
            "On JFT, two layers of 4096 units made both Inception V3 and Xception better: 6.70 to 6.78 FastEval14k "
            "MAP@100 for Xception (section 4.5.1, Table 2). The paper adds these layers; here the rest of the network "
            "is made smaller in exchange.",
            (XCEPTION, Variant("two fully connected layers", fully_connected=2)),
        ),
    )
}


def study_named(name: str) -> Study:
    """Return a study.

    Raises:
        ConfigError: if no study has this name.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]
