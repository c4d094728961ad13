"""Names of Keras layers: replaces numbered class names by layer names, and finds shortcuts by structure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from xseg.errors import WeightsError

VARIABLES = {  # order in which Keras stores the variables of a layer, by class
    "kernel": ("kernel", "bias"),
    "separable": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
}
# Strided 1x1 convolutions of keras.applications.Xception by (in, out) channels; each pair occurs once.
SHORTCUTS = {(64, 128): 2, (128, 256): 3, (256, 728): 4, (728, 1024): 13}
_NUMBER = re.compile(r"_(\d+)$")


@dataclass(frozen=True)
class Layer:
    """A layer of a Keras file.

    Args:
        scope: groups of the models that contain the layer.
        name: name of its group: the layer's own name, or class and number ("conv2d_3").
        variables: variables in the order of the file, by name or position.
        label: the layer's own name, if the file contains it beside the group's.
    """

    scope: tuple[str, ...]
    name: str
    variables: Sequence[tuple[str, Tensor]]
    label: str = ""


def name_layers(file: str, layers: Sequence[Layer], config: Any) -> dict[str, Tensor]:
    """Return tensors named LAYER/VARIABLE.

    The four shortcuts of the original Xception become "shortcutB", where B is the block. All layers outside the
    (sub-)model that holds the Xception, and all dense layers in it, are named "head:...".

    Raises:
        WeightsError: if two tensors get the same name.
    """
    scopes = dict.fromkeys(layer.scope for layer in layers)
    models = [[layer for layer in layers if layer.scope == scope] for scope in scopes]
    named = [layer for model in models for layer in _label(model, config)]
    home = next((layer.scope for layer in named if layer.label == "block1_conv1"), None)
    graph = _graph_shortcuts(config)
    tensors: dict[str, Tensor] = {}
    for layer in named:
        title = layer.label or layer.name if home is None else _title(layer, home, graph)
        for variable, tensor in zip(_variable_names(layer), (tensor for _, tensor in layer.variables), strict=True):
            name = f"{title}/{variable}"
            if name in tensors:
                raise WeightsError(f"{file} has {name} twice", expected="one Xception in the file")
            tensors[name] = tensor
    return tensors


def find_epsilon(config: Any) -> float | None:
    """Return the epsilon of the first batch normalisation in a model description."""
    for entry in _entries(config):
        if entry.get("class_name") == "BatchNormalization":
            value = entry.get("config", {}).get("epsilon")
            return float(value) if isinstance(value, int | float) else None
    return None


def _label(layers: Sequence[Layer], config: Any) -> list[Layer]:
    """Label the layers of one model, from the file, the description, or the order in Xception."""
    if not all(layer.variables and layer.variables[0][0] == "0" for layer in layers):
        return [replace(layer, label=layer.label or layer.name) for layer in layers]
    if all(layer.label for layer in layers):
        return list(layers)
    names = _running_names(config, {layer.name for layer in layers}) or _official_names(layers)
    return [replace(layer, label=names.get(layer.name, "")) for layer in layers]


def _running_names(config: Any, wanted: set[str]) -> dict[str, str]:
    """Return layer names by numbered class name, for the described model that has all wanted layers.

    Keras numbers the layers of each class in the order of the description, model by model.
    """
    for items in map(_items, _entries(config)):
        names: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for item in items:
            kind = _snake(str(item.get("class_name")))
            count = counts[kind]
            counts[kind] += 1
            settings = item.get("config")
            own = item.get("name") or (settings.get("name") if isinstance(settings, Mapping) else "")
            names[f"{kind}_{count}" if count else kind] = str(own)
        if wanted <= set(names) and len(wanted) > 1:
            return names
    return {}


def _official_names(layers: Sequence[Layer]) -> dict[str, str]:
    """Return the names of keras.applications.Xception's layers by class and number.

    Keras sorts the layers by depth, so that the normalisation of a shortcut follows those of the separable
    convolutions in its block. Empty if the layers belong to another network.
    """
    counts = Counter(_NUMBER.sub("", layer.name) for layer in layers)
    if (counts["separable_conv2d"], counts["conv2d"]) != (34, 6):
        return {}
    convs, norms, separables = ["block1_conv1", "block1_conv2"], ["block1_conv1_bn", "block1_conv2_bn"], []
    for block in range(2, 15):
        inside = [f"block{block}_sepconv{conv + 1}" for conv in range(2 if block in (2, 3, 4, 13, 14) else 3)]
        separables += inside
        norms += [f"{name}_bn" for name in inside]
        if block in SHORTCUTS.values():
            convs.append(f"shortcut{block}")
            norms.append(f"shortcut{block}_bn")
    lists = {"conv2d": convs, "batch_normalization": norms, "separable_conv2d": separables}
    return {
        (f"{kind}_{number}" if number else kind): name
        for kind, names in lists.items()
        for number, name in enumerate(names)
    }


def _title(layer: Layer, home: tuple[str, ...], graph: Mapping[str, str]) -> str:
    """Return the name of a layer in a file that holds the original Xception."""
    name = layer.label or layer.name
    first = layer.variables[0][1]
    if layer.scope != home or (first.ndim == 2 and name != "predictions"):
        return "head:" + "/".join((*layer.scope, name))
    if re.match(r"block\d|shortcut\d|predictions$", name):
        return name
    if graph:
        return graph.get(name, name)
    if first.ndim == 4 and first.shape[:2] == (1, 1) and len(layer.variables) == 1:
        block = SHORTCUTS.get((first.shape[2], first.shape[3]))
        return f"shortcut{block}" if block else name
    if first.ndim == 1 and len(layer.variables) == 4:
        block = {pair[1]: number for pair, number in SHORTCUTS.items()}.get(first.shape[0])
        return f"shortcut{block}_bn" if block else name
    return name


def _graph_shortcuts(config: Any) -> dict[str, str]:
    """Return "shortcutB" and "shortcutB_bn" by the names of the shortcut layers in the description.

    A shortcut is a convolution whose normalisation is added to the output of "blockB_pool".
    """
    for items in map(_items, _entries(config)):
        inputs = {str(item.get("name")): list(_inbound(item.get("inbound_nodes"))) for item in items}
        if "block2_pool" not in inputs:
            continue
        found: dict[str, str] = {}
        for sources in inputs.values():
            pools = [match for name in sources if (match := re.fullmatch(r"block(\d+)_pool", name))]
            if len(sources) == 2 and len(pools) == 1:
                norm = next(name for name in sources if name != pools[0].group())
                found[norm] = f"shortcut{pools[0][1]}_bn"
                found |= dict.fromkeys(inputs.get(norm, []), f"shortcut{pools[0][1]}")
        return found
    return {}


def _inbound(node: Any) -> Iterator[str]:
    """Yield the names of a layer's inputs, from Keras 2's lists or Keras 3's tensors."""
    if isinstance(node, Mapping):
        history = node.get("config", {}).get("keras_history") if node.get("class_name") == "__keras_tensor__" else None
        if history:
            yield str(history[0])
            return
        for value in (node.get("args"), node.get("kwargs")):
            yield from _inbound(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0]
            return
        for value in node:
            yield from _inbound(value)


def _entries(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all layers and models of a description, outer ones first."""
    if isinstance(config, Mapping):
        yield config
        for item in _items(config):
            yield from _entries(item)


def _items(entry: Mapping[str, Any]) -> list[Any]:
    """Return the descriptions of the layers directly in a described model; none for a layer."""
    inner = entry.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    return layers if isinstance(layers, list) else []


def _variable_names(layer: Layer) -> list[str]:
    """Return the names of a layer's variables; if the file only numbers them, by the kind of layer."""
    names = [name for name, _ in layer.variables]
    if {*names} <= {name for group in VARIABLES.values() for name in group}:
        return names
    axes = [tensor.ndim for _, tensor in layer.variables]
    if axes == [1, 1, 1, 1]:
        return list(VARIABLES["norm"])
    if axes[:2] == [4, 4] and len(axes) <= 3:
        return list(VARIABLES["separable"][: len(axes)])
    return list(VARIABLES["kernel"][: len(axes)]) if axes[:1] in ([4], [2]) and len(axes) <= 2 else names


def _snake(name: str) -> str:
    """Return a class name as Keras spells it in files: SeparableConv2D is separable_conv2d."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
