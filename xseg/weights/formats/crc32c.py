"""CRC-32C of large buffers, in numpy: lanes side by side, then joined."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
LANE = 64  # bytes of a lane; all lanes of a chunk take a step at once
CHUNK = 1 << 22  # bytes: the lanes' registers then fit a processor's cache
MASK_DELTA = 0xA282EAD8
_LOW, _ALL = np.uint32(0xFFFF), 0xFFFFFFFF


@cache
def _table() -> Words:
    """Return what each value of the two lowest bytes of a register adds to it after two steps."""
    table = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), table >> np.uint32(1))
    return table.astype(np.uint32)


@cache
def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ POLYNOMIAL if value & 1 else value >> 1
        table.append(value)
    return table


@cache
def _zeros_operator(level: int) -> Words:
    """Return, as 4 tables of 256, what LANE * 2**level bytes of 0 do to a register; the operation is linear."""
    if level:
        half = _zeros_operator(level - 1)
        return np.stack([_apply(half, row) for row in half])
    words = np.stack([np.arange(256, dtype=np.uint32) << np.uint32(8 * byte) for byte in range(4)])
    for _ in range(LANE // 2):
        words = np.bitwise_xor(_table()[words & _LOW], words >> np.uint32(16))
    return words


def _apply(operator: Words, words: Words) -> Words:
    parts: list[Words] = [operator[byte][(words >> np.uint32(8 * byte)) & np.uint32(0xFF)] for byte in range(4)]
    return np.bitwise_xor(np.bitwise_xor(parts[0], parts[1]), np.bitwise_xor(parts[2], parts[3]))


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of a buffer.

    The register is linear in data and start: lanes begin at 0, and two neighbours are joined by letting as many zero
    bytes follow the first as the second has.
    """
    view = memoryview(data).cast("B")
    head = len(view) % LANE
    table, register = _byte_table(), _ALL
    for byte in view[:head]:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    for start in range(head, len(view), CHUNK):
        register = _join(register, np.frombuffer(view[start : start + CHUNK], "<u2").reshape(-1, LANE // 2))
    return register ^ _ALL


def _join(register: int, lanes: NDArray[np.uint16]) -> int:
    """Return the register after the bytes of all lanes."""
    table = _table()
    words = np.zeros(len(lanes), np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        words = np.bitwise_xor(table[(words ^ column) & _LOW], words >> np.uint32(16))
    before, level = np.array([register], np.uint32), 0
    while len(words):
        if len(words) % 2:  # the first lane joins what lies before it, so that pairs are left
            before = np.bitwise_xor(_apply(_zeros_operator(level), before), words[:1])
            words = words[1:]
        words = np.bitwise_xor(_apply(_zeros_operator(level), words[0::2]), words[1::2])
        level += 1
    return int(before[0])


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C as TensorFlow and LevelDB store it.

    Source: tensorflow/core/lib/hash/crc32c.h, Mask.
    """
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + MASK_DELTA) & _ALL
