"""Objects by class path, for a user's own readers, losses, metrics and outputs outside the package."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from xseg.errors import ConfigError

_FORMS = "`package.module.Name` or `path/to/file.py:Name`"


def is_class_path(name: str) -> bool:
    """Return whether `name` is a class path rather than a name in one of the package's registries."""
    return "." in name or ":" in name


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
    file, separator, name = path.rpartition(":")
    if not separator:
        file, separator, name = path.rpartition(".")
        if not separator or not all(part.isidentifier() for part in path.split(".")):
            raise ConfigError(f"class path {path!r}", expected=_FORMS)
        module = _import_module(file, path)
    else:
        module = _import_file(Path(file), path)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(
            f"class path {path!r}: {file} has no {name!r}", expected=f"one of {', '.join(_public(module)) or 'none'}"
        ) from None


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


def _import_file(file: Path, path: str) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"class path {path!r}: no file {file} in {Path.cwd()}", expected=_FORMS)
    # A module name per file and content: workers can unpickle its classes, two files may have the same name, and a file
    # that was edited since, in a notebook for example, is imported again.
    digest = hashlib.sha256(str(file.resolve()).encode() + file.read_bytes())
    name = f"xseg_user_{file.stem}_{digest.hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, file)
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


def _public(module: ModuleType) -> list[str]:
    return sorted(name for name in vars(module) if not name.startswith("_"))
