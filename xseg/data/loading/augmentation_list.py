"""The user's own list of transforms, from names and arguments in YAML."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import numpy as np

from xseg.data.loading.own_transform import own_transform
from xseg.data.loading.transforms import known_arguments_only
from xseg.errors import ConfigError, did_you_mean
from xseg.files.objects import is_class_path, load_object

_CHOICES = ("OneOf", "SomeOf", "Sequential", "RandomOrder")  # contain other transforms
_REFUSED = {
    "Lambda": "it calls code",
    "Normalize": "normalisation is the model's own",
    "ToFloat": "the pipeline handles the range of images",
    "FromFloat": "the pipeline handles the range of images",
    "ToTensorV2": "the pipeline converts to tensors itself",
    "ToTensor3D": "the pipeline converts to tensors itself",
}
_MASK_FILLS = ("fill_mask", "mask_drop_value")


def build_listed(listed: Sequence[Any], *, fill: tuple[float, ...], ignore_index: int) -> list[A.BasicTransform]:
    """Return the transforms in a list.

    Args:
        listed: transforms, each with its `name` in albumentations or class path, and its arguments by name; OneOf,
            SomeOf, Sequential and RandomOrder hold a list of `transforms`. Or transform objects, see `own_transform`.
        fill: default padding of images, from `opencv_fill`.
        ignore_index: fill value of masks, whatever the list contains.

    Raises:
        ConfigError: if a name is not a transform of albumentations, or an argument is unknown or wrong.
    """
    return [_build(entry, fill=fill, ignore_index=ignore_index) for entry in listed]


def opencv_fill(fill: tuple[float, ...]) -> tuple[float, ...]:
    """Return the mean padding of all channels, four times.

    With a single number, OpenCV's warps pad the first channel with it and the others with 0. They process more than
    four channels in groups of four. Some transforms of albumentations draw one of several values.
    """
    return (float(np.mean(fill)),) * 4


def _build(entry: Any, *, fill: tuple[float, ...], ignore_index: int) -> A.BasicTransform:
    entry = {"name": entry} if isinstance(entry, str) else entry
    if callable(entry):
        name = str(getattr(entry, "__name__", type(entry).__name__))
        return own_transform(name, entry, {}, fill=fill[0], ignore_index=ignore_index)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        got = f"transforms: {entry!r}"
        raise ConfigError(got, expected="a `name` and arguments, such as {name: GaussianBlur, p: 0.2}")
    name = entry["name"]
    arguments = {str(key): _tuples(value) for key, value in entry.items() if key != "name"}
    kind = load_object(name) if is_class_path(name) else _kind(name)
    if not (inspect.isclass(kind) and issubclass(kind, A.BasicTransform | A.BaseCompose)):
        return own_transform(name, kind, arguments, fill=fill[0], ignore_index=ignore_index)
    if name in _CHOICES:
        inner = arguments.get("transforms")
        if not isinstance(inner, tuple) or not inner:
            got = f"transforms: {name} has no list of transforms"
            raise ConfigError(got, expected="transforms: [{name: ...}, ...]")
        arguments["transforms"] = [_build(part, fill=fill, ignore_index=ignore_index) for part in inner]
    else:
        arguments = _filled(name, kind, arguments, fill=fill, ignore_index=ignore_index)
    try:
        with known_arguments_only():
            return kind(**arguments)
    except (TypeError, ValueError, UserWarning) as error:
        known = ", ".join(_parameters(kind))
        message = " ".join(str(error).split())
        raise ConfigError(f"transforms: {name}: {message}", expected=f"arguments among {known}") from error


def _kind(name: str) -> Any:
    """Return the class of a transform, after checking that the name belongs to one."""
    kinds = {key: value for key, value in vars(A).items() if _is_transform(value) or key in _CHOICES}
    if name in _REFUSED:
        raise ConfigError(f"transforms: {name} cannot be listed: {_REFUSED[name]}")
    if name not in kinds:
        remedy = did_you_mean(name, kinds, "its documentation lists them")
        raise ConfigError(f"transforms: {name!r} is not a transform of albumentations", remedy=remedy)
    return kinds[name]


def _is_transform(value: Any) -> bool:
    concrete = inspect.isclass(value) and issubclass(value, A.BasicTransform) and not inspect.isabstract(value)
    return concrete and value not in (A.BasicTransform, A.DualTransform, A.ImageOnlyTransform, A.NoOp)


def _filled(
    name: str, kind: Any, arguments: dict[str, Any], *, fill: tuple[float, ...], ignore_index: int
) -> dict[str, Any]:
    """Return the arguments with default paddings, and with masks padded as ignored."""
    parameters = _parameters(kind)
    for mask_fill in _MASK_FILLS:
        if arguments.get(mask_fill, ignore_index) not in (ignore_index, None):
            got = f"transforms: {name} has {mask_fill}={arguments[mask_fill]}"
            raise ConfigError(got, expected=f"{ignore_index}, the ignored value", remedy=f"leave {mask_fill} out")
    if arguments.get("mask_interpolation", 0) != 0:
        raise ConfigError(f"transforms: {name} has mask_interpolation={arguments['mask_interpolation']}", expected="0")
    added: dict[str, Any] = {}
    if parameters.get("fill_mask", None) is not None:  # with None, as in dropouts, masks are not changed
        added["fill_mask"] = opencv_fill((ignore_index,))
        if "fill" in parameters:
            added["fill"] = fill
    if arguments.get("fill_mask") is not None:
        arguments = {**arguments, "fill_mask": opencv_fill((ignore_index,))}
    return {**added, **arguments}


def _parameters(kind: Any) -> dict[str, Any]:
    """Return the arguments of a transform with their defaults."""
    return {name: value.default for name, value in inspect.signature(kind).parameters.items() if name != "kwargs"}


def _tuples(value: Any) -> Any:
    """Return YAML's lists as tuples, as albumentations requires."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
