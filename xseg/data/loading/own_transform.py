"""Transforms from outside albumentations in a pipeline: torchvision's, or a function of image and mask."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import isclass, signature
from typing import Any, TypeAlias

import albumentations as A
import numpy as np
import torch
from albumentations.core.type_definitions import Targets

from xseg.data.sample import Array
from xseg.errors import ConfigError, XsegError

PairFunction: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]


class PairTransform(A.DualTransform):  # type: ignore[misc]
    """A function (image, mask) -> (image, mask) as a transform of a pipeline.

    The global generators of Python, NumPy and torch are seeded with the sample's own seed before each call, and
    restored after it.

    Args:
        name: name in error messages.
        function: function of an image (H, W, C) in uint8, or float32 from 0 to 1 for 16-bit files, and a mask (H, W)
            of train ids, or (H, W, classes) for overlapping classes; returns both with the same shapes and types.
        p: probability of the call.
    """

    _targets = (Targets.IMAGE, Targets.MASK)

    def __init__(self, name: str, function: PairFunction, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.name, self.function = name, function

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Call the function, and return `moved`, the new image and mask.

        Raises:
            ConfigError: if it fails or does not return an image and a mask of the same shapes and types.
        """
        image, mask = data["image"], data["mask"]
        try:
            with _seeded(self.py_random.getrandbits(32)):
                moved = self.function(image, mask)
        except XsegError:
            raise
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            raise ConfigError(f"transforms: {self.name} raised {type(error).__name__}: {message}") from error
        forms = [_form(array) for array in (image, mask)]
        found = [_form(new) for new in moved] if isinstance(moved, tuple | list) else repr(moved)
        if found != forms:
            expected = f"image and mask, {' and '.join(forms)}"
            raise ConfigError(f"transforms: {self.name} returned {found}", expected=expected)
        return {**params, "moved": moved}

    def apply(self, img: Array, moved: tuple[Array, Array], **params: Any) -> Array:  # noqa: ARG002 - albumentations'
        """Return the new image (H, W, C)."""
        return moved[0]

    def apply_to_mask(self, mask: Array, moved: tuple[Array, Array], **params: Any) -> Array:  # noqa: ARG002
        """Return the new mask (H, W)."""
        return moved[1]


def own_transform(name: str, found: Any, arguments: Mapping[str, Any], *, fill: float, ignore_index: int) -> Any:
    """Return a user's own transform for a pipeline.

    Args:
        name: name in error messages.
        found: class or object of albumentations or torchvision.transforms.v2, or another class or function from an
            image and a mask to both; see `PairTransform`.
        arguments: arguments of the class or function, and `p`, the probability of the call.
        fill: default padding of images for transforms of torchvision.
        ignore_index: value of pixels without label.

    Raises:
        ConfigError: if it is not a transform, or does not accept the arguments.
    """
    given = dict(arguments)
    kind = found if isclass(found) else type(found)
    origin = {base.__module__.partition(".")[0] for base in kind.__mro__}
    takes_p = "albumentations" in origin or (isclass(found) and "p" in signature(found).parameters)
    p = 1.0 if takes_p else given.pop("p", 1.0)
    try:
        if isclass(found):
            if "torchvision" in origin and "fill" in signature(found).parameters:
                from torchvision import tv_tensors

                # uncovered areas of masks are ignored, see `_torchvision`
                given["fill"] = {tv_tensors.Image: given.get("fill", fill), tv_tensors.Mask: 0}
            found = found(**given)
        elif given:
            found = partial(found, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"transforms: {name}: {' '.join(str(error).split())}") from error
    if "albumentations" in origin:
        return found
    if not callable(found):
        raise ConfigError(f"transforms: {name} is {found!r}", expected="a transform, or a function of image and mask")
    return PairTransform(name, partial(_torchvision, found, ignore_index) if "torchvision" in origin else found, p)


def _torchvision(transform: Any, ignore_index: int, image: Array, mask: Array) -> tuple[Array, Array]:
    """Apply a transform of torchvision. Ignored pixels of masks are 0 for it, its fill value for uncovered areas."""
    from torchvision import tv_tensors

    classes = torch.from_numpy(np.where(mask == ignore_index, 0, mask.astype(np.int64) + 1))
    pixels = tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))))
    overlapping = mask.ndim == 3  # masks of torchvision are (..., H, W)
    moved, labels = transform(pixels, tv_tensors.Mask(classes.permute(2, 0, 1) if overlapping else classes))
    found = labels.permute(1, 2, 0).numpy() if overlapping else labels.numpy()
    ids = np.where(found == 0, ignore_index, found - 1).astype(mask.dtype)
    return np.ascontiguousarray(moved.numpy().transpose(1, 2, 0)), ids


def _form(value: Any) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)} of {getattr(value, 'shape', None)}"


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
