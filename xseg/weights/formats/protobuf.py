"""Reader for protocol buffers without schema: fields by number, as far as the messages here need it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

from xseg.errors import WeightsError

Value: TypeAlias = int | memoryview
MAX_VARINT = 10  # bytes of a 64-bit number


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned number of 7 bits per byte, and the position after it.

    Raises:
        WeightsError: if the data end within the number.
    """
    value = 0
    for count in range(MAX_VARINT):
        if at + count >= len(data):
            break
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + count + 1
    raise WeightsError(f"the data end within a number at byte {at}", expected="a complete protocol buffer")


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value (an unsigned integer, or bytes) of each field of a message.

    Raises:
        WeightsError: if the data are not a protocol buffer.

    Source: protobuf.dev, Encoding.
    """
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = read_varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise WeightsError(f"field {number} of kind {kind} at byte {at}", expected="a protocol buffer")
        if at + size > len(data):
            got = f"field {number} of {size} bytes at byte {at} of {len(data)}"
            raise WeightsError(got, expected="a complete file")
        yield number, data[at : at + size]
        at += size


def signed(value: Value) -> int:
    """Return an int64 field's value.

    Raises:
        WeightsError: if the field holds bytes.
    """
    if not isinstance(value, int):
        raise WeightsError("bytes instead of a number", expected="a protocol buffer of the right kind")
    return value - 2**64 if value >= 2**63 else value


def fixed32(value: Value) -> int:
    """Return a fixed32 field's value.

    Raises:
        WeightsError: if the field holds something else.
    """
    data = as_bytes(value)
    if len(data) != 4:
        raise WeightsError(f"{len(data)} bytes instead of 4", expected="a protocol buffer of the right kind")
    return int(struct.unpack("<I", data)[0])


def as_bytes(value: Value) -> memoryview:
    """Return a bytes field's value.

    Raises:
        WeightsError: if the field holds a number.
    """
    if isinstance(value, int):
        raise WeightsError(f"the number {value} instead of bytes", expected="a protocol buffer of the right kind")
    return value


def text(value: Value) -> str:
    """Return a string field's value."""
    return bytes(as_bytes(value)).decode("utf-8")
