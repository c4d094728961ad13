"""CRC-32C against published vectors, and in chunks and lanes against one byte after another."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.weights.formats import crc32c as module
from xseg.weights.formats.crc32c import LANE, crc32c, masked_crc32c

READ_COMMAND = (
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (bytes.fromhex(READ_COMMAND), 0xD9963A56),
    ],
)
def test_published_checksums(data, checksum):
    assert crc32c(data) == checksum  # RFC 3720, B.4


@pytest.mark.parametrize("chunk", [LANE, 4 * LANE, 7 * LANE])
@pytest.mark.parametrize("size", [1, LANE, 6 * LANE - 1, 9 * LANE, 13 * LANE + 5])
def test_chunks_and_lanes_change_nothing(monkeypatch, size, chunk):
    data, register = random.Random(size).randbytes(size), 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ 0x82F63B78 if register & 1 else register >> 1
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert crc32c(data) == register ^ 0xFFFFFFFF


@given(st.binary(max_size=200))
def test_a_masked_checksum_is_unmasked_as_leveldb_does(data):
    turned = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    assert (turned >> 17 | turned << 15) & 0xFFFFFFFF == crc32c(data)
