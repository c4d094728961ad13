"""LevelDB's tables: keys that share their beginnings are put together, and damage is one line."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_writer import MAGIC, table, varint

from xseg.errors import WeightsError
from xseg.weights.formats.sstable import FOOTER, TRAILER, masked_crc32c, read_table


def unmasked(data):
    """Undo the mask as LevelDB does."""
    turned = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


READ_COMMAND = (
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (bytes.fromhex(READ_COMMAND), 0xD9963A56),
        (b"123456789", 0xE3069283),
    ],
)
def test_published_checksums(data, checksum):
    assert unmasked(data) == unmasked(memoryview(data)) == checksum  # RFC 3720, B.4


@given(st.binary(max_size=300))
def test_checksums_equal_those_computed_bit_by_bit(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ 0x82F63B78 if register & 1 else register >> 1
    assert unmasked(data) == register ^ 0xFFFFFFFF


def slow_zeros(count):
    """Return the CRC-32C of zeros: the register after them, by squaring the matrix of one byte."""
    columns = []
    for bit in range(32):
        register = 1 << bit
        for _ in range(8):
            register = (register >> 1) ^ 0x82F63B78 if register & 1 else register >> 1
        columns.append(register)

    def apply(matrix, vector):
        out = 0
        for bit in range(32):
            out ^= matrix[bit] if vector >> bit & 1 else 0
        return out

    register = 0xFFFFFFFF
    while count:
        register = apply(columns, register) if count & 1 else register
        columns = [apply(columns, column) for column in columns]
        count >>= 1
    return register ^ 0xFFFFFFFF


def test_large_buffers_have_the_checksum_of_their_parts_joined():
    assert unmasked(bytes(9 << 20)) == slow_zeros(9 << 20)


def entry(shared, key, value):
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def sealed(body, kind=0, restarts=1):
    """Return a block with its one restart, the kind of its compression and its checksum."""
    data = body + struct.pack("<II", 0, restarts) + bytes([kind])
    return data + struct.pack("<I", masked_crc32c(data))


def around(block, handle=None):
    """Return a table of one block, which the index says is at `handle`."""
    index = sealed(entry(0, b"z", handle or varint(0) + varint(len(block) - TRAILER)))
    footer = varint(0) * 2 + varint(len(block)) + varint(len(index) - TRAILER)
    return block + index + footer.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC)


def read(data):
    return [(key, bytes(value)) for key, value in read_table(memoryview(data))]


@given(st.dictionaries(st.binary(max_size=6), st.binary(max_size=200), max_size=30), st.integers(1, 7))
def test_entries_are_read_in_order_from_any_number_of_blocks(entries, per_block):
    assert read(table(list(entries.items()), per_block)) == sorted(entries.items())


@given(st.sets(st.text("ab/", max_size=8).map(str.encode), min_size=1))
def test_keys_repeat_the_beginning_of_the_key_before(keys):
    body, before = b"", b""
    for key in sorted(keys):
        shared = next(size for size in range(len(key), -1, -1) if before.startswith(key[:size]))
        body, before = body + entry(shared, key[shared:], key[::-1]), key
    assert read(around(sealed(body))) == [(key, key[::-1]) for key in sorted(keys)]


def test_every_cut_and_every_changed_byte_of_a_block_is_refused():
    whole = table([(b"a/%d" % index, bytes(index)) for index in range(9)], per_block=4)
    damaged = [whole[:size] for size in range(len(whole))]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in range(60)]
    for data in damaged:
        with pytest.raises(WeightsError, match=r"^[^\n]+; expected a complete \.index file[^\n]*$"):
            read(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (around(sealed(entry(0, b"k", b"v"), kind=1)), "the block at byte 0 is compressed"),
        (around(sealed(entry(1, b"k", b"v"))), "exceeds its block"),
        (around(sealed(varint(0) + varint(1) + varint(90) + b"kv")), "exceeds its block"),
        (around(sealed(entry(0, b"k", b"v")), varint(20) + varint(61)), "a block at byte 20 of 61 bytes in 85"),
        (around(sealed(entry(0, b"k", b"v")), varint(1) + varint(3)), "the block at byte 1 has a wrong checksum"),
        (around(b"k\0\0" + b"\0" + struct.pack("<I", masked_crc32c(b"k\0\0\0"))), "a block of 3 bytes"),
        (around(sealed(entry(0, b"k", b"v"), restarts=1 << 20)), "bytes with 1048576 restarts"),
    ],
)
def test_a_block_that_is_not_what_it_says_is_refused(data, message):
    with pytest.raises(WeightsError, match=message):
        read(data)
