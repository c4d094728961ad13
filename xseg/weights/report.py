"""What a conversion did, told tensor by tensor or in a few lines."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xseg.weights.catalogue.entries import Entry
from xseg.weights.convert import Conversion


def describe(conversion: Conversion) -> list[str]:
    """Return what became of a source's tensors, in a few lines.

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
    for reason, count in Counter(conversion.dropped.values()).items():
        lines.append(f"left out: {count} tensors, {reason}")
    return [*lines, *(f"note: {note}" for note in plan.notes)]


def provenance(conversion: Conversion, *, entry: Entry | None = None, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a bundle says about where its weights came from, as plain values.

    Args:
        conversion: what was converted.
        entry: of the catalogue, if the source is one: its licence and score go along.
        notes: what else was done.
    """
    published = {} if entry is None else {"name": entry.key, "license": entry.license, "score": entry.score}
    return {
        "source": conversion.source.name,
        "origin": conversion.plan.origin,
        **published,
        "tensors": len(conversion.claims.state),
        "left_out": dict(Counter(conversion.dropped.values())),
        "notes": [*conversion.plan.notes, *notes],
    }
