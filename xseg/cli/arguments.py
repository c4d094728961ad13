"""Arguments of a verb: options from documented dataclasses, and one-line errors."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, Namespace

from xseg.api.parsing import parse
from xseg.errors import ConfigError, did_you_mean

Options = TypeVar("Options")


def new_parser(verb: str, description: str) -> ArgumentParser:
    """Return a parser that raises its errors, with a description for `--help`."""
    return ArgumentParser(prog=f"xseg {verb}", description=description, exit_on_error=False, allow_abbrev=False)


def add_options(parser: ArgumentParser, options: type) -> None:
    """Add one option per field of a dataclass, with its docstring as help.

    A bool becomes a flag, a tuple of numbers an option with one or more values ("--scales 0.5 1.0").
    """
    documented = {param.arg_name: param.description for param in parse_docstring(options.__doc__ or "").params}
    hints, defaults = get_type_hints(options), vars(options())
    for field in fields(options):
        settings: dict[str, Any] = {"help": documented.get(field.name), "default": defaults[field.name]}
        if hints[field.name] is bool:
            settings["action"] = "store_true"
        elif get_origin(hints[field.name]) is tuple:
            settings |= {"type": get_args(hints[field.name])[0], "nargs": "+", "default": [*defaults[field.name]]}
        else:
            settings["type"] = _without_none(hints[field.name])
        parser.add_argument(f"--{field.name}", **settings)


def options_of(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """Build a dataclass from the parsed values of its fields; lists become tuples.

    Raises:
        ConfigError: if a value is out of range.
    """
    own = {field.name: values[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in own.items()})


def parse_arguments(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse arguments.

    Raises:
        ConfigError: if an option is unknown (with the nearest name), missing, or has a wrong value.
    """
    known = {option for action in parser._actions for option in action.option_strings}
    free = {option for action in parser._actions for option in action.option_strings if _takes_any_key(action)}
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name != "--" and name not in known and name.rpartition(".")[0] not in free:
            remedy = did_you_mean(name, known, f"{parser.prog} --help lists the options")
            raise ConfigError(f"unknown option {name}", remedy=remedy)
    return parse(parser, arguments, remedy=f"{parser.prog} --help lists the options")


def _takes_any_key(action: Any) -> bool:
    return get_origin(getattr(action, "_typehint", None)) is dict


def _without_none(hint: Any) -> Any:
    """Return X for X | None: missing options are None anyway, and errors then name only X."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if len(members) == 1 else hint
