"""Errors that a user can cause, each with a one-line message: value given, value expected, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XsegError(Exception):
    """Base class of all errors that a user of xseg can cause.

    Args:
        got: fault, with the file and the values.
        expected: correct value.
        remedy: suggested action.

    The message is always a single line, so that logs and terminals show it completely.
    """

    def __init__(self, got: str, *, expected: str = "", remedy: str = "") -> None:
        self.got = got
        self.expected = expected
        self.remedy = remedy
        parts = [got, f"expected {expected}" if expected else "", remedy]
        super().__init__(" ".join("; ".join(part for part in parts if part).split()))


class ConfigError(XsegError, ValueError):
    """An option, an argument or a configuration file is wrong."""


def require(sound: bool, got: str, expected: str) -> None:
    """Raise a ConfigError with the given and the expected value unless the value is sound."""
    if not sound:
        raise ConfigError(got, expected=expected)


def unknown_name(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a name that is not one of the known ones, with the nearest of these."""
    names = list(known)
    return ConfigError(f"{what} {name!r}", expected=f"one of {', '.join(names)}", remedy=did_you_mean(name, names))


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the remedy for an unknown name: the most similar known one, or another text if none is similar."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


class ShapeError(XsegError, ValueError):
    """A tensor or an image has a shape that the operation does not accept."""


class DataError(XsegError, ValueError):
    """A data set, an image or a mask is missing, unreadable or labelled wrongly."""


class WeightsError(XsegError, ValueError):
    """A weights file is missing, unreadable, unsafe or does not fit the model."""


class MissingExtraError(XsegError, ImportError):
    """An optional package is missing.

    Args:
        package: name of the missing package.
        extra: extra of xseg that installs it.
        purpose: action that needs the package.
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed",
            remedy=f"pip install 'xseg[{extra}]'",
        )
