"""The losses that a training can add up, by name. A new one is a module here and an entry below. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    """A number that a loss takes by keyword.

    Args:
        default: its value, 0 or more.
        help: description for the option NAME_KEYWORD.
    """

    default: float
    help: str


@dataclass(frozen=True)
class RegisteredLoss:
    """An entry of the registry.

    Args:
        path: class path, imported when the loss has a weight. See `xseg.losses.terms` for what the class offers.
        help: description of its weight.
        weight: default weight in the sum.
        parameters: further keywords of the class.
        some_above_0: whether one of the parameters has to be above 0.
    """

    path: str
    help: str
    weight: float = 0.0
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    some_above_0: bool = False


LOSSES: dict[str, RegisteredLoss] = {
    "cross_entropy": RegisteredLoss(
        "xseg.losses.cross_entropy.CrossEntropy", "weight of the cross-entropy.", weight=1.0
    ),
    "focal": RegisteredLoss(
        "xseg.losses.smp_losses.Focal",
        "weight of the focal loss (Lin et al. 2017, per class as SMP has it).",
        parameters={"gamma": Parameter(2.0, "how much the focal loss turns away from pixels that are right already.")},
    ),
    "dice": RegisteredLoss("xseg.losses.smp_losses.Dice", "weight of the Dice loss."),
    "lovasz": RegisteredLoss(
        "xseg.losses.smp_losses.Lovasz",
        "weight of the Lovász-Softmax loss (Berman et al. 2018), which follows the mean IoU.",
    ),
    "tversky": RegisteredLoss(
        "xseg.losses.smp_losses.Tversky",
        "weight of the Tversky loss, a Dice loss in which two kinds of mistakes have different weights.",
        parameters={
            "alpha": Parameter(0.3, "weight of wrongly predicted pixels in the Tversky loss."),
            "beta": Parameter(0.7, "weight of missed pixels in the Tversky loss."),
        },
        some_above_0=True,
    ),
}


def loss_fields() -> dict[str, tuple[float, str]]:
    """Return default and description of each option: the weight NAME of a loss, and NAME_KEYWORD of its parameters."""
    fields = {}
    for name, loss in LOSSES.items():
        fields[name] = (loss.weight, loss.help)
        fields |= {f"{name}_{key}": (value.default, value.help) for key, value in loss.parameters.items()}
    return fields
