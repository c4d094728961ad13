"""Classes of a data set, from options or label files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from xseg.data.layout import LabelOptions
from xseg.data.lists import lines_of, read_table, read_text
from xseg.errors import ConfigError, DataError
from xseg.labels.label_map import LabelMap
from xseg.types import RGB

LABEL_FILES = ("labels.yaml", "classes.txt", "label_colors.txt", "class_dict.csv", "labelmap.txt", "labels.txt")
_COLOR_THEN_NAME = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\S.*)")
_NAME_THEN_COLOR = re.compile(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3}):[^:]*:[^:]*")


def classes_of(root: Path, options: LabelOptions) -> LabelMap:
    """Return the classes from the options, or else from a file of the data set.

    Raises:
        ConfigError: if the options contradict each other.
        DataError: if there are no classes, or the file cannot be read.
    """
    path = None if options.classes else label_file(root, options)
    if path is not None:
        found = read_labels(path, options)
        return replace(found, overlapping=found.overlapping or options.overlapping)
    if not options.classes:
        remedy = "set layout.labels.classes, or write classes.txt with one name per line"
        raise DataError(f"{root} has none of {', '.join(LABEL_FILES)}", expected="class names", remedy=remedy)
    if options.encoding == "color" and not options.colors:
        raise ConfigError("encoding='color' with classes but without colors", expected="both")
    ids = (options.ignore_index, options.raw_ids, options.ignored_raw_ids)
    return LabelMap(options.classes, options.colors, *ids, overlapping=options.overlapping)


def label_file(root: Path, options: LabelOptions) -> Path | None:
    """Return the label file of a data set: the one in the options, or the first existing one."""
    if options.file:
        return root / options.file
    return next((root / name for name in LABEL_FILES if (root / name).is_file()), None)


def read_labels(path: Path, options: LabelOptions | None = None) -> LabelMap:
    """Return the classes from a label file.

    Args:
        path: YAML with the keys of `LabelMap` (names, and optionally colors, ignore_index, raw_ids, ignored_raw_ids);
            JSON with numbers and names, as in Hugging Face's id2label.json; CSV with name, r, g and b; or text with
            one class per line: a name, "red green blue name" (CamVid's label_colors.txt), or "name:red,green,blue:
            parts:actions" (CVAT's labelmap.txt). Lines that start with # are comments.
        options: label options with the ignore index, and with colours that are ignored although the file lists them.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    options = options or LabelOptions()
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            return _from_values(path, yaml.safe_load(read_text(path)))
        except yaml.YAMLError as error:
            raise DataError(f"{path} is not YAML ({error})", expected="names, and optionally colors and ids") from error
    if path.suffix.lower() == ".json":
        return _from_numbers(path, options.ignore_index)
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _text_rows(path)
    colored = [color is not None for _, color in rows]
    if any(colored) != all(colored):
        raise DataError(f"{path} has a colour for {sum(colored)} of {len(rows)} classes", expected="all or none")
    if options.encoding == "color" and not any(colored):
        raise DataError(f"{path} has names but no colours", expected="one colour per class")
    kept = [(name, color) for name, color in rows if color is None or color not in options.ignored_colors]
    values = {"names": [name for name, _ in kept], "ignore_index": options.ignore_index}
    return _from_values(path, values | ({"colors": [color for _, color in kept]} if any(colored) else {}))


def _text_rows(path: Path) -> list[tuple[str, RGB | None]]:
    """Return names and colours from the lines of a text, which must all have the same form."""
    lines = lines_of(path, "one class per line")
    led = [_COLOR_THEN_NAME.fullmatch(line) for line in lines]
    if all(led):
        return [(found[4].strip(), _color(path, found.groups()[:3])) for found in led if found]
    followed = [_NAME_THEN_COLOR.fullmatch(line) for line in lines]
    if all(followed):
        return [(found[1].strip(), _color(path, found.groups()[1:])) for found in followed if found]
    return [(line, None) for line in lines]


def _csv_rows(path: Path) -> list[tuple[str, RGB | None]]:
    """Return names and colours from a table with a name column and optionally r, g and b."""
    columns, table = read_table(path, "name, r, g, b")
    header, rows = [column.lower() for column in columns], [{key.lower(): row[key] for key in row} for row in table]
    if "name" not in header:
        raise DataError(f"{path} has columns {', '.join(header)}", expected="name, r, g, b")
    colored = {"r", "g", "b"} <= set(header)
    colors = [_color(path, tuple(map(row.get, "rgb"))) if colored else None for row in rows]
    return [(row["name"], color) for row, color in zip(rows, colors, strict=True)]


def _color(path: Path, values: tuple[Any, ...]) -> RGB:
    try:
        red, green, blue = (int(value) for value in values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} has colour {values}", expected="three integers from 0 to 255") from error
    return red, green, blue


def _from_numbers(path: Path, ignore_index: int) -> LabelMap:
    """Return the classes from a JSON file with a name for each number."""
    try:
        values = {int(number): str(name) for number, name in json.loads(read_text(path)).items()}
    except (ValueError, AttributeError) as error:
        got = f"{path} is not a JSON file of numbers and names ({error})"
        raise DataError(got, expected='{"0": "road", ...}') from error
    names = [name for _, name in sorted(values.items())]
    return _from_values(path, {"names": names, "raw_ids": sorted(values), "ignore_index": ignore_index})


def _from_values(path: Path, values: Any) -> LabelMap:
    """Build a label map from the values of a file; errors name the file."""
    known = list(LabelMap.__dataclass_fields__)
    if not isinstance(values, dict) or "names" not in values or set(values) - set(known):
        keys = list(values) if isinstance(values, dict) else type(values).__name__
        raise DataError(f"{path} holds {keys}", expected=f"names, and optionally {', '.join(known[1:])}")
    names = values["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} has names {names}", expected="a list of strings", remedy="quote names such as 'no'")
    try:
        return LabelMap.from_dict({**values, "names": tuple(names)})
    except (ConfigError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
