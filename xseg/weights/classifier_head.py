"""Dense layers of a classifier after global pooling, from weight files of any origin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from xseg.errors import WeightsError
from xseg.weights.formats.source import Source, as_float32

# The single last layer of published ImageNet classifiers: Keras's, timm's, Cadene's.
SINGLE = [("predictions/kernel", "predictions/bias")]
SINGLE += [(f"{layer}.weight", f"{layer}.bias") for layer in ("head.fc", "last_linear", "fc")]
MAX_LAYERS = 8
KERAS_HEAD = "head:"  # the Keras reader's prefix for layers outside the Xception


class Layer(NamedTuple):
    """A dense layer: weights (out, in) and biases (out,), both float32."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Head:
    """Layers after pooling, in order; the last one gives the logits, the others are followed by a ReLU."""

    layers: tuple[Layer, ...]

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].bias.shape[0])

    @property
    def fully_connected(self) -> tuple[int, ...]:
        """Units of the layers before the last."""
        return tuple(int(layer.bias.shape[0]) for layer in self.layers[:-1])

    def state(self) -> dict[str, Tensor]:
        """Return the tensors under their names in `XceptionClassifier`."""
        *hidden, last = self.layers
        names = [f"fully_connected.{2 * number}" for number in range(len(hidden))]  # a ReLU lies between
        named = [*zip(names, hidden, strict=True), ("head", last)]
        return {f"{name}.{part}": getattr(layer, part).clone() for name, layer in named for part in ("weight", "bias")}


def read_head(source: Source, features: int) -> Head | None:
    """Find the dense layers of a classifier.

    Returns:
        The head; None if the file has none.

    Raises:
        WeightsError: if the dense layers do not form a chain that starts at the features.
    """
    names = source.tensors
    dense = [_layer(source, *pair) for pair in SINGLE if names.keys() >= {*pair}][-1:]
    if not dense:
        kernels = [name for name in names if name.startswith(KERAS_HEAD) and name.endswith("/kernel")]
        kernels = sorted((name for name in kernels if names[name].ndim == 2), key=_number)
        dense = [_layer(source, name, re.sub(r"kernel$", "bias", name)) for name in kernels]
    return Head(_ordered(source, dense, features)) if dense else None


def _layer(source: Source, weight: str, bias: str) -> Layer:
    if bias not in source.tensors:
        raise WeightsError(f"{source.name} has {weight} without {bias}", expected="a dense layer with a bias")
    matrix, shift = (as_float32(f"{source.name}: {name}", source.tensors[name]) for name in (weight, bias))
    if weight.endswith("kernel"):  # Keras has (in, out)
        matrix = matrix.T.contiguous()
    if matrix.ndim != 2 or shift.shape != matrix.shape[:1]:
        shapes = f"{list(matrix.shape)} and {list(shift.shape)}"
        raise WeightsError(f"{source.name} has {weight} and {bias} of shapes {shapes}", expected="a dense layer")
    return Layer(matrix, shift)


def _ordered(source: Source, dense: Sequence[Layer], features: int) -> tuple[Layer, ...]:
    """Return the layers in an order in which input and output sizes match; files may have another order."""
    chain = _chain(dense, features) if len(dense) <= MAX_LAYERS else None
    if chain is None:
        shapes = ", ".join(str(list(layer.weight.shape)) for layer in dense[:MAX_LAYERS])
        got = f"{source.name} has {len(dense)} dense layers, {shapes}, that form no chain from {features} features"
        remedy = "build the classifier without these weights and load only its encoder"
        raise WeightsError(got, expected="a chain of layers with matching sizes", remedy=remedy)
    return chain


def _chain(layers: Sequence[Layer], width: int) -> tuple[Layer, ...] | None:
    if not layers:
        return ()
    for index, layer in enumerate(layers):
        if layer.weight.shape[1] == width:
            rest = _chain([*layers[:index], *layers[index + 1 :]], int(layer.bias.shape[0]))
            if rest is not None:
                return (layer, *rest)
    return None


def _number(name: str) -> tuple[int, str]:
    """Return a key that sorts Keras's layer names by number: "dense", "dense_2", "dense_10"."""
    found = re.search(r"_(\d+)/", name)
    return int(found[1]) if found else 0, name
