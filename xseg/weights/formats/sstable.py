"""Reader for LevelDB's tables of sorted strings, the format of a TensorFlow checkpoint's index."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c

from xseg.errors import WeightsError
from xseg.weights.formats.protobuf import read_varint

FOOTER, TRAILER = 48, 5
MAGIC = 0xDB4775248B80FB57
MASK_DELTA = 0xA282EAD8
WHOLE = "a complete .index file of a TensorFlow checkpoint"


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return the masked CRC-32C that TensorFlow and LevelDB store.

    Source: tensorflow/core/lib/hash/crc32c.h, Mask.
    """
    value: int = google_crc32c.value(bytes(data))
    return (((value >> 15) | (value << 17)) + MASK_DELTA) & 0xFFFFFFFF


def read_table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a table, in order.

    Raises:
        WeightsError: if it is damaged or compressed.

    Source: LevelDB doc/table_format.md.
    """
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise WeightsError(f"{len(data)} bytes without a table's end mark", expected=WHOLE)
    footer = data[-FOOTER:]
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    for _, value in _entries(_block(data, index)):
        handle, _ = _handle(value, 0)
        yield from _entries(_block(data, handle))


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and the position after them."""
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (offset, size), at


def _block(data: memoryview, handle: tuple[int, int]) -> memoryview:
    offset, size = handle
    if offset + size + TRAILER > len(data):
        raise WeightsError(f"a block at byte {offset} of {size} bytes in {len(data)}", expected=WHOLE)
    kind, checksum = struct.unpack("<BI", data[offset + size : offset + size + TRAILER])
    if masked_crc32c(data[offset : offset + size + 1]) != checksum:
        raise WeightsError(f"the block at byte {offset} has a wrong checksum", expected=WHOLE)
    if kind != 0:
        raise WeightsError(f"the block at byte {offset} is compressed", expected="TensorFlow's uncompressed index")
    return data[offset : offset + size]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the entries of a block; each key shares a prefix with the one before."""
    if len(block) < 4:
        raise WeightsError(f"a block of {len(block)} bytes", expected=WHOLE)
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise WeightsError(f"a block of {len(block)} bytes with {restarts} restarts", expected=WHOLE)
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        size, at = read_varint(block, at)
        if shared > len(key) or at + fresh + size > end:
            raise WeightsError(f"an entry at byte {at} exceeds its block", expected=WHOLE)
        key = key[:shared] + bytes(block[at : at + fresh])
        yield key, block[at + fresh : at + fresh + size]
        at += fresh + size
