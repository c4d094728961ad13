"""Parsed options, with one-line errors."""

from __future__ import annotations

import difflib
import json
import re
from argparse import ArgumentError
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from jsonargparse import ArgumentParser, Namespace

from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.files.objects import plain_values
from xseg.types import PathArgument

Names: TypeAlias = tuple[str, ...]


def parse(parser: ArgumentParser, arguments: Sequence[str], *, remedy: str = "") -> Namespace:
    """Parse arguments, with one-line errors that name the option.

    Raises:
        ConfigError: if a value has the wrong type or a file cannot be read.
    """
    try:
        return parser.parse_args([*arguments])
    except ArgumentError as error:
        got, expected = _explained(str(error))
        raise ConfigError(got, expected=expected, remedy=remedy) from error


def read_config(file: PathArgument) -> Mapping[str, Any]:
    """Return the options in a YAML file; from a text that starts with a brace, the options in it, as JSON.

    Raises:
        ConfigError: if the file is missing or is not YAML of nested options.
    """
    if is_inline(file):
        inline: Mapping[str, Any] = json.loads(str(file))
        return inline
    name = f"configuration {str(file)!r}"
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}", expected="a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} holds {type(values).__name__}", expected="options as `name: value`")
    return values


def is_inline(file: PathArgument) -> bool:
    """Return whether a configuration is given itself, as JSON, instead of its file."""
    return str(file).startswith("{")


def parse_data(values: Mapping[str, Any]) -> DataOptions:
    """Return data options from nested values, which may hold objects; see `plain_values`.

    Raises:
        ConfigError: if an option is unknown or wrong.
    """
    parser = ArgumentParser(prog="xseg", exit_on_error=False)
    parser.add_class_arguments(DataOptions, "data")
    parser.set_defaults(read_data_options(json.dumps({"data": plain_values(values)})))
    made: DataOptions = parser.instantiate(parse(parser, [])).data
    return made


def read_data_options(file: PathArgument) -> dict[str, Any]:
    """Return the `data:` options of a configuration by their full names; other options are for training.

    Raises:
        ConfigError: if the file cannot be read, or an option is unknown.
    """
    data = read_config(file).get("data", {})
    where = "data" if is_inline(file) else str(file)
    if not isinstance(data, dict):
        raise ConfigError(f"{where} holds no options under `data:`", expected="reader, root, ...")
    known = leaves({"data": asdict(DataOptions())})
    given = leaves({"data": data}, known)
    unknown = sorted(".".join(path) for path in given if path not in known)
    if unknown:
        names = [".".join(path) for path in known]
        near = [name for option in unknown for name in difflib.get_close_matches(option, names, n=1)]
        raise ConfigError(
            f"{where}: unknown option{'s' * (len(unknown) > 1)} {', '.join(unknown)}",
            remedy=f"did you mean {', '.join(near)}?" if near else "--help lists the options",
        )
    return {".".join(path): value for path, value in given.items()}


def leaves(tree: Mapping[str, Any], known: Collection[Names] = (), above: Names = ()) -> dict[Names, Any]:
    """Return the values of nested options by their names at each level; known ones are not divided further."""
    found: dict[Names, Any] = {}
    for key, value in tree.items():
        names = (*above, str(key))
        nested = isinstance(value, Mapping) and (value or known) and names not in known
        found |= leaves(value, known, names) if nested else {names: value}
    return found


def _explained(message: str) -> tuple[str, str]:
    """Return jsonargparse's error about a value as the value given and the value expected."""
    message = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split()))
    message = re.sub(r"\btyping\.", "", message)
    message = re.sub(r"\bLiteral\[([^\]]*)\]", r"one of \1", message)
    value = re.fullmatch(r'Parser key "([^"]+)"(?: element \d+)?: Expected an? (.+?)\.? Got value: (.*)', message)
    if value:
        return f"{value[1]}={value[3]}", value[2]
    union = re.fullmatch(r'Parser key "([^"]+)": .*Subtypes: \[(.+)\] Errors: .* Given value: (.*)', message)
    if union:
        return f"{union[1]}={union[3]}", union[2].replace("NoneType", "null")
    found = re.fullmatch(r'Parser key "([^"]+)": (.*)', message)
    return (f"option {found[1]!r}: {found[2]}" if found else message), ""
