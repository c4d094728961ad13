"""Terms of a sum of losses, from the registry, a class path or an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError, XsegError
from xseg.files.objects import load_object
from xseg.losses.registry import LOSSES

LossFunction: TypeAlias = Callable[..., Tensor]


class Term(nn.Module):
    """A loss with its weight in a sum.

    A loss is called with logits (N, C, H, W) of any floating type and a mask (N, H, W) int64 of 0 to C - 1 or the
    ignored value, or for overlapping classes (N, C, H, W) of 0, 1 or the ignored value, and returns a scalar. A class
    is constructed first. Constructor and call may name these keyword arguments: `ignore_index`, `classes`, `multilabel`
    (whether classes overlap), `class_weights` ((C,) float32 or None; call only), `step` (number of optimiser steps;
    None in validation; call only), `across` (function from a scalar to its mean over the processes; constructor only).

    Args:
        source: name in the registry, class path, or the loss itself: a class, a module or a function.
        weight: weight in the sum.
        given: keyword arguments that the loss gets if it names them.
        arguments: further keyword arguments, which the loss must accept.

    Raises:
        ConfigError: if the loss is unknown, or does not accept the arguments.
    """

    def __init__(
        self, source: str | LossFunction, weight: float, *, given: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.weight, self.label = weight, name_of(source)
        found: Any = source
        if isinstance(source, str):
            found = load_object(LOSSES[source].path if source in LOSSES else source)
        if not callable(found):
            raise ConfigError(f"loss {self.label} is {found!r}", expected="a class or a function")
        try:
            if inspect.isclass(found):
                named = _parameters(found)
                found = found(**{name: value for name, value in given.items() if name in named} | dict(arguments))
            elif arguments:
                inspect.signature(found).bind_partial(**arguments)
                found = partial(found, **arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"loss {self.label}: {error}") from error
        self.loss: LossFunction = found
        self._named = _parameters(found.forward if isinstance(found, nn.Module) else found)

    def forward(self, logits: Tensor, mask: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return the loss without its weight, a scalar, of logits, mask and the keyword arguments that it names.

        Raises:
            ConfigError: if the loss raises an error or does not return a scalar tensor.
        """
        try:
            value = self.loss(logits, mask, **{name: given[name] for name in self._named.intersection(given)})
        except (XsegError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if "memory" in str(error):  # the allocators of CPUs raise RuntimeError
                raise
            message = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"loss {self.label} raised {type(error).__name__} for logits {tuple(logits.shape)} and mask "
                f"{tuple(mask.shape)}: {message}"
            ) from error
        if not isinstance(value, Tensor) or value.ndim:
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"
            raise ConfigError(f"loss {self.label} returned {got}", expected="a scalar tensor", remedy="return its mean")
        return value


def name_of(source: str | LossFunction) -> str:
    """Return the name of a loss: the last part of a class path, or the name of an object or its class."""
    if isinstance(source, str):
        return source.replace(":", ".").rpartition(".")[2]
    return str(getattr(source, "__name__", type(source).__name__))


def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
