"""LevelDB's tables: keys that share their beginnings are put together, and damage is one line."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_writer import MAGIC, table, varint

from xseg.errors import WeightsError
from xseg.weights.formats.crc32c import masked_crc32c
from xseg.weights.formats.sstable import FOOTER, TRAILER, read_table


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
        with pytest.raises(WeightsError, match=r"^[^\n]+; expected a whole \.index file[^\n]*$"):
            read(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (around(sealed(entry(0, b"k", b"v"), kind=1)), "the block at byte 0 is compressed"),
        (around(sealed(entry(1, b"k", b"v"))), "an entry leaves its block"),
        (around(sealed(varint(0) + varint(1) + varint(90) + b"kv")), "an entry leaves its block"),
        (around(sealed(entry(0, b"k", b"v")), varint(20) + varint(61)), "a block at byte 20 of 61 bytes in 85"),
        (around(sealed(entry(0, b"k", b"v")), varint(1) + varint(3)), "the block at byte 1 has a wrong checksum"),
        (around(b"k\0\0" + b"\0" + struct.pack("<I", masked_crc32c(b"k\0\0\0"))), "a block of 3 bytes"),
        (around(sealed(entry(0, b"k", b"v"), restarts=1 << 20)), "bytes with 1048576 restarts"),
    ],
)
def test_a_block_that_is_not_what_it_says_is_refused(data, message):
    with pytest.raises(WeightsError, match=message):
        read(data)
