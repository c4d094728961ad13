"""Writes TensorFlow's checkpoints and frozen graphs without TensorFlow, as small as tests need them."""

from __future__ import annotations

import struct

import numpy as np

from xseg.weights.formats.sstable import masked_crc32c

MAGIC = 0xDB4775248B80FB57
DTYPES = {np.dtype("f4"): 1, np.dtype("f8"): 2, np.dtype("i4"): 3, np.dtype("i8"): 9, np.dtype("f2"): 19}


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def chunk(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def shape(sides):
    return b"".join(chunk(2, number(1, side)) for side in sides)


def block(entries):
    """Return a table's block of (key, value) pairs, every key in full, with its trailer."""
    data, restarts = bytearray(), []
    for key, value in entries:
        restarts.append(len(data))
        data += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    data += b"".join(struct.pack("<I", at) for at in restarts or [0]) + struct.pack("<I", max(len(restarts), 1))
    return bytes(data) + b"\0" + struct.pack("<I", masked_crc32c(bytes(data) + b"\0"))


def table(entries, per_block=20):
    """Return a LevelDB table."""
    data, index = bytearray(), []
    entries = sorted(entries)
    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        raw = block(part)
        index.append((part[-1][0], varint(len(data)) + varint(len(raw) - 5)))
        data += raw
    handles = []
    for content in ([], index):
        raw = block(content)
        handles.append(varint(len(data)) + varint(len(raw) - 5))
        data += raw
    return bytes(data) + b"".join(handles).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_checkpoint(prefix, tensors, shards=1):
    """Write PREFIX.index and its shards; tensors are dealt out to the shards in turn."""
    data = [bytearray() for _ in range(shards)]
    entries = [(b"", number(1, shards) + chunk(3, number(1, 1)))]
    for position, (name, value) in enumerate(sorted(tensors.items())):
        shard, raw = position % shards, np.ascontiguousarray(value).tobytes()
        entry = number(1, DTYPES[value.dtype]) + chunk(2, shape(value.shape)) + number(3, shard)
        entry += number(4, len(data[shard])) + number(5, len(raw))
        entry += varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(raw))
        data[shard] += raw
        entries.append((name.encode(), entry))
    prefix.with_name(prefix.name + ".index").write_bytes(table(entries))
    for shard, raw in enumerate(data):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(bytes(raw))


def write_graph(path, tensors):
    """Write a frozen graph of constants, with a placeholder between them as graphs have."""
    nodes = [chunk(1, chunk(1, b"ImageTensor") + chunk(2, b"Placeholder"))]
    for name, value in tensors.items():
        tensor = number(1, DTYPES[value.dtype]) + chunk(2, shape(value.shape)) + chunk(4, value.tobytes())
        attribute = chunk(1, b"value") + chunk(2, chunk(8, tensor))
        nodes.append(chunk(1, chunk(1, name.encode()) + chunk(2, b"Const") + chunk(5, attribute)))
    path.write_bytes(b"".join(nodes))
