"""Variants of a published data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from xseg.data.options import DataOptions
from xseg.errors import ConfigError

Variant = TypeVar("Variant")


def variant_of(options: DataOptions, variants: Mapping[str, Variant]) -> Variant:
    """Return the variant in the options, or else the first one.

    Raises:
        ConfigError: if the variant is unknown.
    """
    name = options.layout.variant or next(iter(variants))
    if name not in variants:
        raise ConfigError(
            f"variant={name!r} of reader {options.reader!r}",
            expected=f"one of {', '.join(variants)}",
            remedy="set layout.variant",
        )
    return variants[name]
