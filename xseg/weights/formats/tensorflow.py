"""Reader for TensorFlow's checkpoints and frozen graphs, without TensorFlow; graphs are parsed, never run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xseg.errors import WeightsError
from xseg.weights.formats.protobuf import Value, as_bytes, fields, fixed32, signed, text
from xseg.weights.formats.source import AGAIN, Source, check_size
from xseg.weights.formats.sstable import masked_crc32c, read_table

# tensorflow/core/framework/types.proto
DTYPES: Mapping[int, str] = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 14: "bfloat16", 19: "<f2"}
VARIABLE = re.compile(r".*/(weights|depthwise_weights|biases|gamma|beta|moving_mean|moving_variance)")
AVERAGE = "/ExponentialMovingAverage"
TRAINING = re.compile(
    r".*/(Momentum|Adam|Adam_1|RMSProp|RMSProp_1)|(.*/)?(global_step|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH)"
    r"|beta[12]_power.*|(.*/)?learning_rate.*"
)
DILATED = re.compile(r".*exit_flow/block2/unit_1/xception_module/separable_conv(\d)_depthwise(/.*)?")
NOTHING = memoryview(b"")  # value of a field that a message lacks


@dataclass(frozen=True)
class Entry:
    """Location of a tensor in a checkpoint."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def checkpoint_prefix(path: Path) -> Path | None:
    """Return the shared prefix of a checkpoint's files, of which `path` is one, or the prefix; None for other paths."""
    prefix = path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))
    return prefix if prefix.with_name(prefix.name + ".index").is_file() else None


def read_checkpoint(prefix: Path) -> Source:
    """Read a TensorFlow checkpoint (V2).

    Momentum, steps and other training states are left out; a moving average replaces its variable.

    Raises:
        WeightsError: if a file is missing or damaged.
    """
    index = prefix.with_name(prefix.name + ".index")
    try:
        entries, shards = _read_index(index)
        tensors, dropped = _select(entries)
        loaded = _load(prefix, tensors, shards)
    except WeightsError as error:
        raise WeightsError(f"{index}: {error.got}", expected=error.expected, remedy=error.remedy) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{index} cannot be read: {error}", remedy=AGAIN) from error
    return Source(str(prefix), loaded, {}, dropped)


def _read_index(path: Path) -> tuple[dict[str, Entry], int]:
    """Return the entries of a checkpoint's index, and the number of its shards."""
    entries: dict[str, Entry] = {}
    shards = 1
    for key, value in read_table(memoryview(path.read_bytes())):
        if key:
            entries[key.decode("utf-8")] = _entry(value)
            continue
        header = dict(fields(value))
        shards = signed(header.get(1, 1))
        if header.get(2, 0) != 0:
            raise WeightsError("a checkpoint from a big-endian machine", expected="little-endian")
    return entries, shards


def _entry(data: memoryview) -> Entry:
    """Return a BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto)."""
    found = dict(fields(data))
    dtype, shard, offset, size = (signed(found.get(number, 0)) for number in (1, 3, 4, 5))
    shape, checksum = _shape(found.get(2, NOTHING)), fixed32(found[6]) if 6 in found else 0
    return Entry(dtype, shape, shard, offset, size, checksum, sliced=7 in found)


def _shape(value: Value) -> tuple[int, ...]:
    """Return the sizes in a TensorShapeProto."""
    sizes = (as_bytes(dimension) for number, dimension in fields(as_bytes(value)) if number == 2)
    sides = [signed(dict(fields(size)).get(1, 0)) for size in sizes]
    if min(sides, default=0) < 0:
        raise WeightsError(f"a tensor of shape {sides}", expected="known sizes")
    return tuple(sides)


def _select(entries: Mapping[str, Entry]) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries to read by variable name, and the reasons for the others."""
    wanted, dropped = {}, {}
    for name, entry in entries.items():
        if TRAINING.fullmatch(name):
            dropped[name] = "training state"
        elif name.endswith(AVERAGE):
            wanted[name.removesuffix(AVERAGE)] = entry
        elif name + AVERAGE in entries:
            dropped[name] = "replaced by its moving average"
        else:
            wanted[name] = entry
    return wanted, dropped


def _load(prefix: Path, entries: Mapping[str, Entry], shards: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for shard in range(shards):
        inside = {name: entry for name, entry in entries.items() if entry.shard == shard}
        path = prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")
        if inside and not path.is_file():
            raise WeightsError(f"no {path.name} beside it", expected=f"all {shards} shards", remedy="download it too")
        data = np.memmap(path, np.uint8, mode="r") if inside else np.empty(0, np.uint8)
        tensors |= {name: _tensor(name, entry, data) for name, entry in inside.items()}
    if missing := sorted(set(entries) - set(tensors)):
        shard = entries[missing[0]].shard
        raise WeightsError(f"{missing[0]} lies in shard {shard}", expected=f"one of {shards} shards")
    return tensors


def _tensor(name: str, entry: Entry, data: NDArray[np.uint8]) -> Tensor:
    """Return one tensor of a shard after checking its checksum."""
    check_size(name, entry.shape)
    if entry.sliced:
        raise WeightsError(f"{name} is stored in slices", expected="a checkpoint without partitioned variables")
    if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > len(data):
        got = f"{name} ends at byte {entry.offset + entry.size} of a shard of {len(data)}"
        raise WeightsError(got, expected="a complete shard", remedy=AGAIN)
    raw = data[entry.offset : entry.offset + entry.size].tobytes()
    if masked_crc32c(raw) != entry.checksum:
        got = f"{name}: the checksum of the data differs from the index"
        raise WeightsError(got, remedy="copy or download it again")
    return _decode(name, entry.dtype, entry.shape, memoryview(raw))


def _decode(name: str, dtype: int, shape: tuple[int, ...], raw: memoryview) -> Tensor:
    """Return a tensor from little-endian bytes."""
    kind = DTYPES.get(dtype)
    if kind is None:
        raise WeightsError(f"{name} has TensorFlow's data type {dtype}", expected="floating-point numbers")
    expected = math.prod(shape) * (2 if kind == "bfloat16" else np.dtype(kind).itemsize)
    if len(raw) != expected:
        raise WeightsError(f"{name} of shape {list(shape)} has {len(raw)} bytes", expected=str(expected))
    if kind == "bfloat16":
        return torch.frombuffer(bytearray(raw), dtype=torch.bfloat16).reshape(shape) if raw else torch.zeros(shape)
    return torch.from_numpy(np.frombuffer(raw, kind).reshape(shape).copy())


def read_graph(path: Path) -> Source:
    """Read the network variables of a frozen graph, which it stores as constants.

    Raises:
        WeightsError: if it is damaged, or holds no such constants.
    """
    tensors: dict[str, Tensor] = {}
    rates: dict[int, int] = {}
    try:
        for name, operation, attributes in _nodes(memoryview(path.read_bytes())):
            if operation == "Const" and VARIABLE.fullmatch(name) and "value" in attributes:
                tensors[name] = _constant(name, attributes["value"])
            elif match := DILATED.fullmatch(name):
                rate = _rate(name, operation, attributes)
                if rate is not None:
                    rates[int(match[1])] = max(rate, rates.get(int(match[1]), 1))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.got}", expected=error.expected, remedy=error.remedy) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", expected="a frozen graph") from error
    if not tensors:
        raise WeightsError(f"{path} holds no constants of a network", expected="a frozen graph of TF DeepLab")
    metadata = {}
    if sorted(rates) == [1, 2, 3]:
        metadata["multi_grid"] = tuple(rates[index] // min(rates.values()) for index in (1, 2, 3))
    return Source(str(path), tensors, metadata)


def _nodes(data: memoryview) -> Iterator[tuple[str, str, dict[str, memoryview]]]:
    """Yield name, operation and attributes of a GraphDef's nodes (tensorflow/core/framework/graph.proto)."""
    for number, node in fields(data):
        if number != 1:
            continue
        parts = list(fields(as_bytes(node)))
        pairs = [dict(fields(as_bytes(value))) for kind, value in parts if kind == 5]
        attributes = {text(pair[1]): as_bytes(pair[2]) for pair in pairs if 1 in pair and 2 in pair}
        named = dict(parts)
        yield text(named.get(1, NOTHING)), text(named.get(2, NOTHING)), attributes


def _constant(name: str, attribute: memoryview) -> Tensor:
    """Return the tensor of an AttrValue (attr_value.proto, tensor.proto)."""
    tensor = dict(fields(attribute)).get(8)
    if tensor is None:
        raise WeightsError(f"{name} is a constant without a value", expected="a tensor")
    parts = list(fields(as_bytes(tensor)))
    found = dict(parts)
    dtype, shape, content = signed(found.get(1, 1)), _shape(found.get(2, NOTHING)), as_bytes(found.get(4, NOTHING))
    check_size(name, shape)
    if not len(content):  # few or equal values are stored singly; the last one is repeated
        values = np.frombuffer(b"".join(as_bytes(value) for number, value in parts if number == 5), "<f4")
        count = math.prod(shape)
        if dtype != 1 or not 0 < len(values) <= count:
            raise WeightsError(f"{name} of shape {list(shape)} has {len(values)} values", expected=f"{count} floats")
        return torch.from_numpy(np.pad(values, (0, count - len(values)), mode="edge").reshape(shape).copy())
    return _decode(name, dtype, shape, content)


def _rate(name: str, operation: str, attributes: Mapping[str, memoryview]) -> int | None:
    """Return the atrous rate of a depthwise convolution from its dilations or block shape; None for other nodes."""
    if operation == "Const" and name.endswith("block_shape") and "value" in attributes:
        return int(_constant(name, attributes["value"]).max())
    if operation.startswith("DepthwiseConv2d") and "dilations" in attributes:
        listed = dict(fields(attributes["dilations"])).get(1)
        values = [value for number, value in fields(as_bytes(listed))] if listed is not None else []
        packed = [bytes(value) for value in values if not isinstance(value, int)]
        return max([value for value in values if isinstance(value, int)] + [byte for run in packed for byte in run])
    return 1 if operation.startswith("DepthwiseConv2d") else None
