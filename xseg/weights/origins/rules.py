"""Renaming by rules, of which every tensor must match exactly one, and the projects that no rules can convert."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from xseg.errors import WeightsError
from xseg.weights.formats.source import Source, as_float32

Layout: TypeAlias = Literal["same", "conv", "depthwise", "matrix"]
COUNTER = "num_batches_tracked"  # PyTorch's own counter, without effect here and absent from other frameworks
LISTED = 6  # problems listed per kind; a wrong file has hundreds, and the message is one line
_FIELD = re.compile(r"\{(\w+)([+-]\d+)?\}")


@dataclass(frozen=True)
class Rule:
    """One line of a table, which maps a tensor's name in the source to its name here.

    Args:
        pattern: regular expression for the complete source name; the target uses its named groups.
        target: name in xseg; "{block}" stands for a named group, "{block-2}" for its number minus 2; empty to drop the
            tensor.
        layout: reordering of the axes. "same": none; "conv": (H, W, in, out) to (out, in, H, W); "depthwise":
            (H, W, C, 1) to (C, 1, H, W); "matrix": (out, in), if stored so, to (out, in, 1, 1).
        reason: reason for dropping the tensor.
    """

    pattern: str
    target: str
    layout: Layout = "same"
    reason: str = ""

    def resolve(self, match: re.Match[str]) -> str:
        """Return our name for a matched source name."""

        def fill(place: re.Match[str]) -> str:
            value = match.group(place.group(1))
            return str(int(value) + int(place.group(2))) if place.group(2) else value

        return _FIELD.sub(fill, self.target)


def drop(pattern: str, reason: str) -> Rule:
    """Return the rule that drops a tensor for a reason."""
    return Rule(pattern, "", reason=reason)


def norm_rules(
    pattern: str, target: str, names: tuple[str, str, str, str] = ("weight", "bias", "running_mean", "running_var")
) -> list[Rule]:
    """Return the rules of one batch normalisation.

    Args:
        pattern: regular expression for the module's name in the source, with the separator after it.
        target: name of the module here, without a final dot.
        names: names of scale, shift, mean and variance in the source.
    """
    ours = ("weight", "bias", "running_mean", "running_var")
    rules = [Rule(pattern + re.escape(name), f"{target}.{own}") for name, own in zip(names, ours, strict=True)]
    return [*rules, Rule(pattern + COUNTER, f"{target}.{COUNTER}")]


@dataclass(frozen=True)
class Claims:
    """Result of renaming: tensors and source names by our name, and reasons for dropped tensors by source name."""

    state: Mapping[str, Tensor]
    used: Mapping[str, str]
    dropped: Mapping[str, str] = field(default_factory=dict)


def claim(source: Source, rules: Sequence[Rule]) -> Claims:
    """Rename every tensor of the source.

    Raises:
        WeightsError: if a tensor matches no rule or several, two get the same name, or a tensor is not numeric.
    """
    compiled = [(re.compile(rule.pattern), rule) for rule in rules]
    used: dict[str, str] = {}
    state: dict[str, Tensor] = {}
    dropped = dict(source.dropped)
    problems: list[str] = []
    strangers: list[str] = []
    for name, tensor in source.tensors.items():
        hits = [(rule, match) for pattern, rule in compiled if (match := pattern.fullmatch(name))]
        if not hits:
            strangers.append(name)
            continue
        if len(hits) > 1:
            problems.append(f"{name} matches {len(hits)} rules")
            continue
        rule, match = hits[0]
        if rule.reason:
            dropped[name] = rule.reason
            continue
        target = rule.resolve(match)
        if target in used:
            problems.append(f"{name} and {used[target]} both become {target}")
            continue
        used[target] = name
        state[target] = as_float32(f"{source.name}: {name}", _arrange(source, name, tensor, rule.layout))
    for name in strangers:
        near = _near(name, list(used.values())) if len(strangers) <= LISTED else ""
        problems.append(f"{name} matches 0 rules{near}")
    if problems:
        got = f"{source.name}: {_listed(problems)}"
        raise WeightsError(got, expected="exactly one rule of the origin for every tensor")
    return Claims(state, used, dropped)


def _arrange(source: Source, name: str, tensor: Tensor, layout: Layout) -> Tensor:
    """Return the tensor with our order of axes."""
    if layout == "same":
        return tensor
    if layout == "matrix":
        return tensor[:, :, None, None] if tensor.ndim == 2 else tensor
    if tensor.ndim != 4:
        raise WeightsError(f"{source.name}: {name} has shape {list(tensor.shape)}", expected="four axes")
    return tensor.permute(3, 2, 0, 1) if layout == "conv" else tensor.permute(2, 3, 0, 1)


def fit(source: Source, claims: Claims, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a module, after comparing every name and shape.

    Raises:
        WeightsError: if a tensor is missing, unknown or of another shape; the message counts all problems and lists
            the first ones with the nearest name.
    """
    spare = [own for own in claims.state if own not in wanted]
    missing = [name for name in wanted if name not in claims.state and not name.endswith(COUNTER)]
    problems = [f"missing {name}{_near(name, spare) if len(missing) <= LISTED else ''}" for name in missing]
    for name, tensor in claims.state.items():
        if name not in wanted:
            near = _near(name, list(wanted)) if len(problems) < LISTED else ""
            problems.append(f"unknown {claims.used[name]} ({name}{near})")
        elif tensor.shape != wanted[name].shape:
            problems.append(
                f"{claims.used[name]} has shape {list(tensor.shape)}, expected {list(wanted[name].shape)} for {name}"
            )
        elif name.endswith("running_var") and bool((tensor < 0).any()):
            problems.append(f"{claims.used[name]} has negative variances")
    if problems:
        got = f"{source.name}: {_listed(problems)}"
        raise WeightsError(got, remedy="the file belongs to another network, or is damaged")
    counter = torch.zeros((), dtype=torch.int64)
    return {name: claims.state[name] if name in claims.state else counter.clone() for name in wanted}


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f", nearest {near[0]}" if near else ""


def _listed(problems: Sequence[str]) -> str:
    """Return the first problems and the total number."""
    more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
    return f"{len(problems)} tensors do not fit: " * (len(problems) > 1) + "; ".join(problems[:LISTED]) + more


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
            got = f"{source.name} comes from {refusal.name}, which cannot be converted faithfully: {refusal.reason}"
            raise WeightsError(got, remedy="use the weights of TF DeepLab, timm or Keras")
