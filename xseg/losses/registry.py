"""Registry of losses. A new loss is a module here and an entry below. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    """A keyword argument of a loss.

    Args:
        default: default value, 0 or more.
        help: description of the option NAME_KEYWORD.
    """

    default: float
    help: str


@dataclass(frozen=True)
class RegisteredLoss:
    """An entry of the registry.

    Args:
        path: class path, imported if the loss has a weight; see `xseg.losses.terms` for the interface of the class.
        help: description of the weight.
        weight: default weight in the sum.
        parameters: further keyword arguments of the class.
        some_above_0: whether one of the parameters must be above 0.
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
        "weight of the focal loss (Lin et al. 2017, per class as in SMP).",
        parameters={"gamma": Parameter(2.0, "exponent that reduces the focal loss of well classified pixels.")},
    ),
    "dice": RegisteredLoss("xseg.losses.smp_losses.Dice", "weight of the Dice loss."),
    "jaccard": RegisteredLoss("xseg.losses.smp_losses.Jaccard", "weight of the Jaccard loss, a surrogate of the IoU."),
    "lovasz": RegisteredLoss(
        "xseg.losses.smp_losses.Lovasz",
        "weight of the Lovász-Softmax loss (Berman et al. 2018), a surrogate of the mean IoU.",
    ),
    "tversky": RegisteredLoss(
        "xseg.losses.smp_losses.Tversky",
        "weight of the Tversky loss, a Dice loss with different weights for two kinds of mistakes.",
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
