"""Conversion of weights: recognise the origin by its keys, apply its table, check and describe the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.errors import WeightsError
from xseg.models.config import ModelConfig
from xseg.weights.catalogue.entries import Entry
from xseg.weights.formats.source import Source
from xseg.weights.origins.registry import Plan, plan_conversion
from xseg.weights.origins.rules import Claims, claim, fit

ENCODER = "encoder."


@dataclass(frozen=True)
class Conversion:
    """The tensors of a source under our names, with a description."""

    source: Source
    plan: Plan
    claims: Claims

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return self.plan.encoder

    @property
    def config(self) -> ModelConfig:
        """Configuration of the whole model.

        Raises:
            WeightsError: if the source holds only an encoder.
        """
        if self.plan.config is None:
            whole = any(name.startswith("decoder.") for name in self.claims.state)
            raise WeightsError(
                f"{self.source.name} "
                + ("does not contain the configuration of its model" if whole else "holds only an encoder"),
                expected="the config.json of its run's best/ beside it" if whole else "a whole model",
                remedy="pass a destination that ends in .safetensors to convert the encoder",
            )
        channels = self.claims.state[f"{ENCODER}stem.conv1.conv.weight"].shape[1]
        return replace(self.plan.config, in_channels=channels)

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the encoder's state at full depth, without prefix and without the decoder's tensors.

        Raises:
            WeightsError: if a tensor is missing, unknown or of another shape.
        """
        spec, config = encoder_spec(self.encoder), self.plan.config
        spec = spec.with_ablation(config.ablation).scaled(config.width) if config else spec
        first = self.claims.state.get(f"{ENCODER}stem.conv1.conv.weight")
        channels = 3 if first is None or first.ndim != 4 else first.shape[1]
        with torch.device("meta"):
            wanted = XceptionEncoder(spec, in_channels=channels, depth=config.depth if config else 5).state_dict()
        inside = {
            name.removeprefix(ENCODER): tensor for name, tensor in self.claims.state.items() if name.startswith(ENCODER)
        }
        used = {name.removeprefix(ENCODER): source for name, source in self.claims.used.items()}
        return fit(self.source, Claims(inside, used), wanted)

    def model_state(self, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the whole model's state; `wanted` is that of a model built from `config`.

        Raises:
            WeightsError: if a tensor is missing, unknown or of another shape.
        """
        return fit(self.source, self.claims, wanted)


def convert(source: Source) -> Conversion:
    """Recognise a source and rename its tensors.

    Raises:
        WeightsError: if the origin is unknown or refused, or a tensor matches no rule or several.
    """
    source, plan = plan_conversion(source)
    return Conversion(source, plan, claim(source, plan.rules))


def describe(conversion: Conversion) -> list[str]:
    """Return a summary of a conversion in a few lines.

    Every tensor is in exactly one of the counts: used, or left out for a reason.
    """
    state = conversion.claims.state
    values = sum(tensor.numel() for tensor in state.values())
    plan = conversion.plan
    kind = f"DeepLabV3+ on {plan.encoder}" if plan.config else plan.encoder
    lines = [
        f"{conversion.source.name}: {kind} of {plan.origin}",
        f"used: {len(state)} tensors, {values:,} values",
        f"batch normalisation: epsilon {plan.norm.eps:g}, momentum {plan.norm.momentum:g}",
    ]
    if plan.config:
        config = conversion.config
        parts = [name for name in ("aspp", "image_pooling", "decoder") if getattr(config, name)]
        lines.append(
            f"model: {config.classes} classes, {', '.join(parts) or 'no ASPP and no decoder'}, multi-grid "
            f"{config.multi_grid}, padding {config.padding}"
        )
    for reason, count in Counter(conversion.claims.dropped.values()).items():
        lines.append(f"left out: {count} tensors, {reason}")
    return [*lines, *(f"note: {note}" for note in plan.notes)]


def provenance(conversion: Conversion, *, entry: Entry | None = None, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the provenance that a bundle stores, as values that JSON can hold."""
    published = {} if entry is None else {"name": entry.key, "license": entry.license, "score": entry.score}
    return {
        "source": conversion.source.name,
        "origin": conversion.plan.origin,
        **published,
        "tensors": len(conversion.claims.state),
        "left_out": dict(Counter(conversion.claims.dropped.values())),
        "notes": [*conversion.plan.notes, *notes],
    }
