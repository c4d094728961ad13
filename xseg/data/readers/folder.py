"""Plain folders: images here, masks there, one file of class names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from xseg.data.options import DataOptions
from xseg.data.pairs import PairReader, check_root
from xseg.errors import ConfigError, DataError
from xseg.labels import LabelMap

LABELS_FILE, CLASSES_FILE = "labels.yaml", "classes.txt"


def create(options: DataOptions) -> PairReader:
    """Return the reader of the folders or globs that the options name.

    Raises:
        ConfigError: if the options' classes contradict each other.
        DataError: if root is no folder, or no classes are given and root has no readable file of them.
    """
    root = Path(options.root)
    check_root(root)
    labels = _labels_from_options(options) if options.classes else read_labels(root)
    return PairReader(root=root, labels=labels, channels=options.channels, images=options.images, masks=options.masks)


def read_labels(root: Path) -> LabelMap:
    """Return the classes that a data set's folder describes.

    Args:
        root: holds labels.yaml (the keys of `LabelMap`: names, and optionally colors, ignore_index, raw_ids,
            ignored_raw_ids) or classes.txt (a name per line).

    Raises:
        DataError: if there is neither, or it is not readable.
    """
    labels_file, classes_file = root / LABELS_FILE, root / CLASSES_FILE
    if labels_file.is_file():
        return _from_values(labels_file, _yaml(labels_file))
    if classes_file.is_file():
        names = [line.strip() for line in _text(classes_file).splitlines()]
        return _from_values(classes_file, {"names": [name for name in names if name]})
    raise DataError(
        f"{root} has neither {LABELS_FILE} nor {CLASSES_FILE}",
        expected="the names of the classes",
        remedy=f"set classes, or write {CLASSES_FILE} with a name per line",
    )


def _labels_from_options(options: DataOptions) -> LabelMap:
    return LabelMap(
        names=options.classes,
        colors=options.colors,
        ignore_index=options.ignore_index,
        raw_ids=options.raw_ids,
        ignored_raw_ids=options.ignored_raw_ids,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="UTF-8 text") from error


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is no YAML ({error})", expected="names, and optionally colors and ids") from error


def _from_values(path: Path, values: Any) -> LabelMap:
    """Build a label map from a file's values; whatever is wrong names the file."""
    known = list(LabelMap.__dataclass_fields__)
    if not isinstance(values, dict) or "names" not in values or set(values) - set(known):
        keys = list(values) if isinstance(values, dict) else type(values).__name__
        raise DataError(f"{path} holds {keys}", expected=f"names, and optionally {', '.join(known[1:])}")
    names = values["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} has names {names}", expected="a list of texts", remedy="quote names such as 'no'")
    try:
        return LabelMap.from_dict({**values, "names": tuple(names)})
    except (ConfigError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
