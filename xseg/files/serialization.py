"""Build dataclasses from values that JSON can hold, after checking every key and type."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from xseg.errors import ConfigError

Built = TypeVar("Built")
LARGEST = 2**63 - 1  # largest integer that torch, numpy and other JSON readers support


def from_plain(kind: type[Built], values: object, where: str) -> Built:
    """Build a dataclass, including dataclasses in its fields.

    Args:
        kind: dataclass whose fields are numbers, texts, literals, tuples and dataclasses of those, or None.
        values: result of `dataclasses.asdict`, possibly read from JSON.
        where: name of the values in error messages.

    Raises:
        ConfigError: if a key is unknown or missing, or a value is wrong.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}", expected="an object of names and values")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        got, expected = f"{where} with unknown keys {', '.join(unknown)}", f"a subset of {', '.join(known)}"
        raise ConfigError(got, expected=expected, remedy="it may come from a newer xseg")
    needed = [name for name, field in known.items() if field.default is field.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise ConfigError(f"{where} without {', '.join(missing)}", expected=f"at least {', '.join(needed)}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    """Return a value if it has the type, or raise an error."""
    if isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        got = f"{where} is an integer of {value.bit_length()} bits"
        raise ConfigError(got, expected="a number from -2**63 to 2**63 - 1")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return _tuple(arguments, value, where)
    if origin is Literal and any(value == choice and type(value) is type(choice) for choice in arguments):
        return value
    if is_dataclass(hint):
        return from_plain(hint, value, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} is {value!r}", expected=_name(hint))


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    some = [kind for kind in kinds if kind is not NoneType]
    if len(some) == 1:
        return _value(some[0], value, where)
    for kind in some:
        with suppress(ConfigError):
            return _value(kind, value, where)
    raise ConfigError(f"{where} is {value!r}", expected=" or ".join(map(_name, kinds)))


def _tuple(kinds: tuple[Any, ...], values: Any, where: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(kinds) != len(values):
        raise ConfigError(f"{where} is {values!r}", expected=f"{len(kinds)} values")
    return tuple(_value(kind, value, where) for kind, value in zip(kinds, values, strict=True))


def _name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return f"a list, each {' or '.join(dict.fromkeys(_name(kind) for kind in arguments if kind is not Ellipsis))}"
    names = {int: "an integer", float: "a number", str: "a string", bool: "true or false", NoneType: "null"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
