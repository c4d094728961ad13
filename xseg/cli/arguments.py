"""Arguments of a verb: options from documented dataclasses, and one-line errors."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from xseg.api.parsing import parse, read_data_options
from xseg.data.options import DataOptions
from xseg.errors import ConfigError, did_you_mean
from xseg.files.description import descriptions
from xseg.types import PathArgument

MODEL = "a run directory, a bundle directory or a Hugging Face Hub id"
MODELS = (
    "a run directory, a bundle directory, a file of xseg export or a Hub id; several with commas between them, or the "
    "folder of xseg crossval, as an ensemble"
)
Options = TypeVar("Options")


def new_parser(verb: str, main: Callable[..., int]) -> ArgumentParser:
    """Return a parser that raises its errors, with the first docstring line of the verb's function in `--help`."""
    summary = (main.__doc__ or "").partition("\n")[0]
    return ArgumentParser(prog=f"xseg {verb}", description=summary, exit_on_error=False, allow_abbrev=False)


def add_options(parser: ArgumentParser, *kinds: type) -> None:
    """Add one option per field of the dataclasses, with its docstring as help.

    A bool becomes a flag, a tuple of numbers an option with one or more values ("--scales 0.5 1.0").
    """
    for kind in kinds:
        documented, hints, defaults = descriptions(kind), get_type_hints(kind), vars(kind())
        for name in (field.name for field in fields(kind)):
            settings: dict[str, Any] = {"help": documented.get(name), "default": defaults[name]}
            if hints[name] is bool:
                settings["action"] = "store_true"
            elif get_origin(hints[name]) is tuple:
                settings |= {"type": get_args(hints[name])[0], "nargs": "+", "default": [*defaults[name]]}
            else:
                settings["type"] = _without_none(hints[name])
            parser.add_argument(f"--{name}", **settings)


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
    known = {option: action for action in parser._actions for option in action.option_strings}
    for argument in arguments:
        name = argument.partition("=")[0]
        takes_any_key = get_origin(getattr(known.get(name.rpartition(".")[0]), "_typehint", None)) is dict
        if name.startswith("--") and name != "--" and name not in known and not takes_any_key:
            remedy = did_you_mean(name, known, f"{parser.prog} --help lists the options")
            raise ConfigError(f"unknown option {name}", remedy=remedy)
    return parse(parser, arguments, remedy=f"{parser.prog} --help lists the options")


def parse_options(verb: str, main: Callable[..., int], kind: type[Options], arguments: Sequence[str]) -> Options:
    """Return the options of a verb that has no others.

    Raises:
        ConfigError: if an option is unknown, or has a wrong value.
    """
    parser = new_parser(verb, main)
    add_options(parser, kind)
    return options_of(kind, vars(parse_arguments(parser, arguments)))


def parse_with_data(
    parser: ArgumentParser, arguments: Sequence[str], files: Callable[[Namespace], Iterable[PathArgument]]
) -> dict[str, Any]:
    """Parse twice: `files` returns those with defaults of the data options, given the arguments.

    Returns:
        Values by name; `data` holds the `DataOptions`.

    Raises:
        ConfigError: if an option is unknown or wrong, or a file cannot be read.
    """
    parser.add_class_arguments(DataOptions, "data")
    for file in files(parse_arguments(parser, arguments)):
        parser.set_defaults(read_data_options(file))
    values: dict[str, Any] = vars(parser.instantiate(parse_arguments(parser, arguments)))
    return values


def _without_none(hint: Any) -> Any:
    """Return X for X | None: missing options are None anyway, and errors then name only X."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if len(members) == 1 else hint
