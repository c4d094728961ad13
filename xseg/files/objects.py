"""Objects by class path, for a user's own readers, losses, metrics and outputs outside the package.

An object that no file holds, such as one from a notebook, has the path "python:NAME", which is known only in the
process that has the object, and only while it exists.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakValueDictionary

from xseg.errors import ConfigError

_FORMS = "`package.module.Name` or `path/to/file.py:Name`"
_HELD = "python:"
_USER_MODULE = "xseg_user_"
_held: WeakValueDictionary[str, Any] = WeakValueDictionary()


def is_class_path(name: str) -> bool:
    """Return whether `name` is a class path rather than a name in one of the package's registries."""
    return "." in name or ":" in name


def is_held(name: str) -> bool:
    """Return whether a class path names an object of a Python session, not one in a file."""
    return name.startswith(_HELD)


def object_path(value: Any) -> str:
    """Return a class path of an object, from which `load_object` returns the same object.

    It is an ordinary class path for classes and functions of a module that others can import, and "python:NAME" for the
    rest.
    """
    named = getattr(value, "func", value)  # of a functools.partial
    name = str(getattr(named, "__qualname__", type(named).__qualname__))
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if module is not None and module.__name__ != "__main__" and getattr(module, name, None) is value:
        own = module.__name__.startswith(_USER_MODULE)
        return f"{module.__file__}:{name}" if own else f"{module.__name__}.{name}"
    name = name.rpartition(".")[2]
    paths = (f"{_HELD}{number}:{name}" if number > 1 else f"{_HELD}{name}" for number in count(1))
    return next(path for path in paths if _held.setdefault(path, value) is value)


def plain_values(value: Any) -> Any:
    """Return nested options as values that JSON can hold, with a class path for every object, also in keys."""
    if isinstance(value, Mapping):
        return {plain_values(key): plain_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else object_path(value)


def refuse_lost_objects(values: Any, where: str) -> None:
    """Check that this process has all objects of a Python session in nested plain values.

    Raises:
        ConfigError: for the first that is missing.
    """
    text = json.dumps(values, ensure_ascii=False, default=str)
    for path in re.findall(f'"({_HELD}[^"]+)"', text):
        if path not in _held:
            raise _lost(path, where)


def _lost(path: str, where: str) -> ConfigError:
    return ConfigError(
        f"{where} names {path}, an object of the Python session that wrote it",
        expected=f"an object that a file holds, {_FORMS}",
        remedy="in Python, pass it to xseg.train with resume='auto', or to xseg.load as architecture or encoder",
    )


def absolute_class_path(path: str) -> str:
    """Return a class path that means the same object in every working directory, if it names a file that exists."""
    file, separator, name = path.rpartition(":")
    return f"{Path(file).absolute()}:{name}" if separator and Path(file).is_file() else path


def absolute_class_paths(values: Any) -> Any:
    """Return nested plain values with all class paths, keys too, as `absolute_class_path` returns them."""
    if isinstance(values, dict):
        return {absolute_class_paths(key): absolute_class_paths(value) for key, value in values.items()}
    if isinstance(values, list):
        return [absolute_class_paths(value) for value in values]
    return absolute_class_path(values) if isinstance(values, str) else values


def load_object(path: str) -> Any:
    """Import the object at a class path.

    Importing runs the module's code, so a class path may come from the user's options only, never from a bundle or a
    checkpoint.

    Args:
        path: `package.module.Name`, or `path/to/file.py:Name` with a path relative to the working directory.

    Raises:
        ConfigError: if the path has neither form, or the file, the module or the name does not exist, or importing
            it fails.
    """
    if is_held(path):
        if path not in _held:
            raise _lost(path, "the configuration")
        return _held[path]
    file, separator, name = path.rpartition(":")
    if separator:
        module = _import_file(Path(file), path)
    else:
        file, separator, name = path.rpartition(".")
        if not separator or not all(part.isidentifier() for part in path.split(".")):
            raise ConfigError(f"class path {path!r}", expected=_FORMS)
        module = _import_module(file, path)
    try:
        return getattr(module, name)
    except AttributeError:
        public = sorted(name for name in vars(module) if not name.startswith("_"))
        expected = f"one of {', '.join(public) or 'none'}"
        raise ConfigError(f"class path {path!r}: {file} has no {name!r}", expected=expected) from None


def code_stamp(path: str) -> str:
    """Return a text that changes with the file of the object at a class path; empty if it has no file.

    Raises:
        ConfigError: as `load_object`.
    """
    found = load_object(path)
    module = sys.modules.get(getattr(found, "__module__", None) or type(found).__module__)
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _import_module(name: str, path: str) -> ModuleType:
    working_directory = str(Path.cwd())
    if working_directory not in sys.path:
        sys.path.append(working_directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"class path {path!r}: no module named {error.name!r}", expected=_FORMS) from None
    except Exception as error:
        raise ConfigError(f"class path {path!r}: importing it raised {type(error).__name__}: {error}") from error


class _SourceLoader(SourceFileLoader):
    """Compiles the file itself: the bytecode cache misses an edit within a second that keeps the size."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_file(file: Path, path: str) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"class path {path!r}: no file {file} in {Path.cwd()}", expected=_FORMS)
    # A module name per file and content: workers can unpickle its classes, two files may have the same name, and a file
    # that was edited since, in a notebook for example, is imported again.
    digest = hashlib.sha256(str(file.resolve()).encode() + file.read_bytes())
    name = f"{_USER_MODULE}{file.stem}_{digest.hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, file, loader=_SourceLoader(name, str(file)))
    if specification is None or specification.loader is None:
        raise ConfigError(f"class path {path!r}: {file} is not a Python file", expected=_FORMS)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"class path {path!r}: importing it raised {type(error).__name__}: {error}") from error
    return module
