"""Variants of a published data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from xseg.data.options import DataOptions
from xseg.errors import unknown_name

Variant = TypeVar("Variant")


def variant_of(options: DataOptions, variants: Mapping[str, Variant]) -> Variant:
    """Return the variant in the options, or else the first one.

    Raises:
        ConfigError: if the variant is unknown.
    """
    name = options.layout.variant or next(iter(variants))
    if name not in variants:
        raise unknown_name(f"reader {options.reader!r}: layout.variant", name, variants)
    return variants[name]
