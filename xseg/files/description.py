"""Docstrings with argument descriptions from dataclasses, so that each argument is described once."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from docstring_parser import parse

Function = TypeVar("Function", bound=Callable[..., Any])


def descriptions(kind: type) -> dict[str, str]:
    """Return the descriptions of the fields in the docstrings of a dataclass and its bases."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        found |= {entry.arg_name: entry.description or "" for entry in parse(inspect.getdoc(one) or "").params}
    return found


def described_by(*kinds: type) -> Callable[[Function], Function]:
    """Return a decorator that adds an `Args` section to a docstring without one.

    Args:
        *kinds: dataclasses with the arguments as fields; the first one with a field describes it.

    Raises:
        TypeError: if an argument is neither a field nor mentioned in the docstring.
    """

    def decorate(function: Function) -> Function:
        known: dict[str, str] = {}
        for kind in reversed(kinds):
            known |= descriptions(kind)
        doc = inspect.cleandoc(function.__doc__ or "")
        names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
        undescribed = [name for name in names if name not in known and f"`{name}`" not in doc]
        if undescribed:
            raise TypeError(f"{function.__qualname__} does not describe {', '.join(undescribed)}")
        wrapper = textwrap.TextWrapper(112, initial_indent=" " * 4, subsequent_indent=" " * 8)
        texts = {name: " ".join(known[name].split()) for name in names if name in known}
        entries = [wrapper.fill(f"{name}: {text}") for name, text in texts.items()]
        summary, separator, sections = doc.partition("\n\nReturns:")
        if not separator:
            summary, separator, sections = doc.partition("\n\nRaises:")
        function.__doc__ = "\n".join([summary, "", "Args:", *entries]) + separator + sections
        return function

    return decorate
