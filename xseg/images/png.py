"""Checks of PNG files before decoding: size, checksums and length of the pixel data, bounded by the header.

Source: PNG specification, third edition (W3C 2025): sections 5.3 (chunks), 8 (interlacing), 9 (filters), 11.2 (IHDR).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from xseg.errors import DataError
from xseg.images.quiet import require_pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # chunks that affect the pixels; others are dropped
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_LAST_FILTER = 4
_MAX_RATIO = 1032  # of deflate: largest number of bytes that a compressed byte stands for
_START = struct.Struct(">8sI4sIIBBBBB")  # signature, and length, kind and content of the header
# First row, first column, row step and column step of the seven interlaced passes; section 8.1
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    color: int
    compression: int
    filter: int
    interlace: int


def is_png(content: bytes) -> bool:
    """Return whether the content starts like a PNG."""
    return content.startswith(_SIGNATURE)


def require_possible_size(file: BinaryIO, name: str) -> None:
    """Refuse a PNG whose header specifies more pixels than a file of its length can hold; keep the file's position.

    Raises:
        DataError: if it does. Decoders would fill the rest with zeros, for seconds.
    """
    position, length = file.tell(), file.seek(0, 2)
    file.seek(0)
    start = file.read(_START.size)
    file.seek(position)
    if not is_png(start) or len(start) < _START.size:
        return
    header = _Header(*_START.unpack(start)[3:])
    if header.color in _CHANNELS and header.interlace <= 1:
        pixels = sum(rows * count for rows, count in _row_lengths(header))
        if pixels > _MAX_RATIO * length:
            raise _damaged(name, f"its header specifies {pixels} bytes of pixels, more than a file of its length holds")


def checked_png(content: bytes, name: str) -> bytes:
    """Check a PNG and return it with only the chunks that affect its pixels, so that decoders print no warnings.

    Other chunks, such as text and colour profiles, are dropped; `name` is for error messages.

    Raises:
        DataError: if a chunk is truncated or has a wrong checksum, or the number of pixels is above Pillow's limit or
            differs from the header.
    """
    chunks = list(_chunks(content, name))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != struct.calcsize(">IIBBBBB"):
        raise _damaged(name, "its header is missing")
    header = _Header(*struct.unpack(">IIBBBBB", chunks[0][1]))
    if header.color not in _CHANNELS or header.compression or header.filter or header.interlace > 1:
        raise _damaged(name, "its header is wrong")
    require_pixels(header.height, header.width, name)
    _check_rows(header, b"".join(data for kind, data in chunks if kind == b"IDAT"), name)
    return _SIGNATURE + b"".join(_packed(kind, data) for kind, data in chunks if kind in _PIXELS)


def _chunks(content: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk up to the last one, IEND."""
    position, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, position) if position + 12 <= len(content) else (0, b"")
        end = position + 8 + length
        if not kind or end + 4 > len(content):
            raise _damaged(name, "it is truncated")
        data = content[position + 8 : end]
        if kind in _PIXELS and zlib.crc32(kind + data) != struct.unpack_from(">I", content, end)[0]:
            raise _damaged(name, f"the checksum of {kind.decode()} is wrong")
        yield kind, data
        position = end + 4


def _check_rows(header: _Header, compressed: bytes, name: str) -> None:
    """Raise unless the compressed rows match the header and have known filters."""
    lengths = _row_lengths(header)
    expected = sum(rows * length for rows, length in lengths)
    decoder = zlib.decompressobj()
    try:
        # A small file with a wrong header must not take much memory
        raw = decoder.decompress(compressed, expected + 1) if expected <= _MAX_RATIO * len(compressed) else b""
    except zlib.error as error:
        raise _damaged(name, str(error)) from error
    if len(raw) != expected or not decoder.eof:
        raise _damaged(name, f"its header specifies {expected} bytes of pixels, but the file holds another number")
    start = 0
    for rows, length in lengths:
        if max(raw[start : start + rows * length : length], default=0) > _LAST_FILTER:
            raise _damaged(name, "a row has an unknown filter")
        start += rows * length


def _row_lengths(header: _Header) -> list[tuple[int, int]]:
    """Return the rows of each non-empty pass, and the bytes of each of its rows, with the filter's."""
    passes = _PASSES if header.interlace else ((0, 0, 1, 1),)
    sizes = [(-(-(header.height - r) // down), -(-(header.width - c) // across)) for r, c, down, across in passes]
    bits = header.depth * _CHANNELS[header.color]
    return [(rows, 1 + (columns * bits + 7) // 8) for rows, columns in sizes if rows > 0 and columns > 0]


def _packed(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _damaged(name: str, reason: str) -> DataError:
    return DataError(f"{name} cannot be decoded ({reason})", expected="a complete PNG", remedy="replace or remove it")
