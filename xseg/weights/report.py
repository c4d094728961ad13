"""Summary of a conversion, and its provenance for a bundle."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xseg.weights.catalogue.entries import Entry
from xseg.weights.convert import Conversion


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
