"""Registry of outputs, and a user's own outputs.

A new output is a file in this folder and a line in `OUTPUTS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from xseg.errors import ConfigError
from xseg.files.objects import load_object
from xseg.predict.options import Medium
from xseg.predict.outputs.coco import Coco
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.overlay import Overlay
from xseg.predict.outputs.polygons import Polygons
from xseg.predict.outputs.probabilities import Probabilities

if TYPE_CHECKING:
    from xseg.predict.sources import Source

OUTPUTS: Mapping[str, type[Output]] = {
    "mask": Mask,
    "overlay": Overlay,
    "probabilities": Probabilities,
    "polygons": Polygons,
    "coco": Coco,
}
"""Outputs by the names of their options."""

MEDIA: Mapping[Medium, str] = {"image": "images", "raster": "GeoTIFFs", "video": "videos and cameras"}


def optional_outputs() -> dict[str, type[Output]]:
    """Return the outputs that are written on request, by the names of their options."""
    return {name: kind for name, kind in OUTPUTS.items() if kind.always != frozenset(MEDIA)}


def option_names(kind: Any) -> list[str]:
    """Return the names of an output's own options: the fields of its class, if it is a dataclass."""
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def option_values(output: Output) -> dict[str, Any]:
    """Return the values of an output's own options."""
    return {name: getattr(output, name) for name in option_names(output)}


def create_outputs(values: Mapping[str, Any], own: Sequence[str] = ()) -> tuple[Output, ...]:
    """Return the requested outputs, and a user's own ones by their class paths.

    The values are True for the name of each requested output, and those of the outputs' own options; another value than
    the default of an option requests its output, too.

    Raises:
        ConfigError: if a value is out of range, or a class path is not an output.
    """
    wanted: list[Output] = []
    for name, kind in OUTPUTS.items():
        output = kind(**{option: values[option] for option in option_names(kind) if option in values})
        if values.get(name) or option_values(output) != option_values(kind()):
            wanted.append(output)
    return (*wanted, *map(load_output, own))


def load_output(path: str) -> Output:
    """Return the output at a class path: an `Output`, or a class or function that creates one without arguments.

    Raises:
        ConfigError: if there is none, or its creation fails.
    """
    found = load_object(path)
    if not isinstance(found, Output) and callable(found):
        try:
            found = found()
        except TypeError as error:
            raise ConfigError(f"output {path}: {error}", expected="a class that needs no arguments") from error
    if not isinstance(found, Output):
        expected = "a subclass of xseg.predict.outputs.output.Output"
        raise ConfigError(f"output {path} is {type(found).__name__}", expected=expected)
    return found


def name_of(output: Output) -> str:
    """Return the name of an output: its option, or the class of a user's own output."""
    return next((name for name, kind in OUTPUTS.items() if type(output) is kind), type(output).__qualname__)


def describe_outputs(outputs: Sequence[Output]) -> dict[str, Any]:
    """Return the outputs and their options for a manifest, as values that JSON can hold."""
    described: dict[str, Any] = {}
    asked = {name_of(output): output for output in outputs}
    for name, kind in OUTPUTS.items():
        described |= {name: name in asked, **option_values(asked[name] if name in asked else kind())}
    own = {name: option_values(output) for name, output in asked.items() if name not in OUTPUTS}
    return described | ({"output": own} if own else {})


def check_outputs(outputs: Sequence[Output], sources: Sequence[Source], *, overlapping: bool = False) -> None:
    """Check that outputs fit each other, the sources, and classes that may overlap, before the run.

    Raises:
        ConfigError: if an output does not support a kind of source or overlapping classes, or is incomplete.
        XsegError: as in `Output.check`.
    """
    taken = {kind.folder or kind.summary for kind in OUTPUTS.values()}
    for output in outputs:
        name = name_of(output)
        if name not in OUTPUTS:
            _check_own(output, taken)
            taken |= {output.folder, output.summary} - {""}
        refused = next((source for source in sources if source.medium not in output.supported()), None)
        if refused is not None:
            known = [words for medium, words in MEDIA.items() if medium in output.supported()]
            raise ConfigError(
                f"{name} cannot be written for {refused.place}, which is one of the {MEDIA[refused.medium]}",
                expected=" or ".join(known),
                remedy=f"leave out {refused.place}, or predict it without {name}",
            )
        if overlapping and not output.overlapping:
            able = ", ".join(known for known, kind in OUTPUTS.items() if kind.overlapping)
            raise ConfigError(f"{name} cannot be written for overlapping classes", expected=able)
        output.check(sources)


_METHODS: Mapping[Medium, tuple[str, ...]] = {
    "image": ("write_image",),
    "raster": ("write_raster", "stream_raster"),
    "video": ("stream_video",),
}


def _check_own(output: Output, taken: set[str]) -> None:
    """Refuse a user's own output that is incomplete or would overwrite others."""
    name = name_of(output)
    if not output.suffixes and not output.summary:
        raise ConfigError(f"output {name} has no suffixes", expected='for example suffixes = {"image": ".txt"}')
    for place in filter(None, (output.folder, output.summary)):
        if place in taken or place.startswith(".") or PurePosixPath(place).name != place:
            raise ConfigError(f"output {name} has folder or summary {place!r}", expected="an unused name")
    if output.suffixes and not output.folder:
        raise ConfigError(f"output {name} has no folder", expected='for example folder = "texts"')
    for medium, suffix in output.suffixes.items():
        if medium not in _METHODS:
            raise ConfigError(f"output {name} has a suffix for {medium!r}", expected=f"one of {', '.join(_METHODS)}")
        if not suffix.startswith(".") or "/" in suffix:
            raise ConfigError(f"output {name} has the suffix {suffix!r}", expected='for example ".txt"')
        if not any(map(output.overrides, _METHODS[medium])):
            methods = " or ".join(_METHODS[medium])
            raise ConfigError(f"output {name} has no {methods}", expected=f"one, for {MEDIA[medium]}")
    if output.summary and not output.overrides("write_summary"):
        raise ConfigError(f"output {name} has no write_summary", expected=f"one, for {output.summary}")
