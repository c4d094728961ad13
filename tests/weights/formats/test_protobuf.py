"""Protocol buffers: what is written is read, and what is cut off is refused in one line."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_writer import chunk, number, varint

from xseg.errors import WeightsError
from xseg.weights.formats.protobuf import as_bytes, fields, fixed32, read_varint, signed, text

MESSAGE = number(1, 300) + chunk(2, b"name") + b"\x1d" + struct.pack("<I", 7) + b"\x21" + struct.pack("<Q", 9)
MESSAGE += chunk(15, b"") + number(16, 0)


def parse(data):
    return [(key, value if isinstance(value, int) else bytes(value)) for key, value in fields(memoryview(data))]


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_numbers_are_read_wherever_they_begin(value, before, behind):
    encoded = varint(value)
    end = len(before) + len(encoded)
    assert read_varint(memoryview(before + encoded + behind), len(before)) == (value, end)
    for cut in range(len(before), end):
        with pytest.raises(
            WeightsError, match=rf"the data end within a number at byte {len(before)}; expected a complete"
        ):
            read_varint(memoryview((before + encoded)[:cut]), len(before))


def test_a_number_of_more_than_ten_bytes_is_refused_and_bits_above_64_are_dropped():
    with pytest.raises(WeightsError, match="the data end within a number at byte 0"):
        read_varint(memoryview(b"\x80" * 10 + b"\x01"), 0)
    assert read_varint(memoryview(b"\xff" * 9 + b"\x7f"), 0) == (2**64 - 1, 10)


def test_a_message_cut_off_gives_its_first_fields_or_is_refused():
    whole = [(1, 300), (2, b"name"), (3, struct.pack("<I", 7)), (4, struct.pack("<Q", 9)), (15, b""), (16, 0)]
    assert parse(MESSAGE) == whole
    read = []
    for size in range(len(MESSAGE)):
        with contextlib.suppress(WeightsError):
            read.append(parse(MESSAGE[:size]))
    assert read == [whole[:count] for count in range(6)], "only a cut between fields is none"


@pytest.mark.parametrize("kind", [3, 4, 6, 7])
def test_fields_of_other_kinds_are_refused(kind):
    with pytest.raises(WeightsError, match=f"field 5 of kind {kind} at byte 1"):
        parse(varint(5 << 3 | kind) + bytes(8))


def test_values_are_told_by_the_kind_of_their_field():
    for value in (0, 1, -1, 2**63 - 1, -(2**63)):
        assert signed(value % 2**64) == value
    assert (text(memoryview("µ".encode())), fixed32(memoryview(b"\1\0\0\2"))) == ("µ", 0x02000001)
    with pytest.raises(WeightsError, match="bytes instead of a number"):
        signed(memoryview(b"ab"))
    for read in (as_bytes, text, fixed32):
        with pytest.raises(WeightsError, match="the number 3 instead of bytes"):
            read(3)
    with pytest.raises(WeightsError, match="3 bytes instead of 4"):
        fixed32(memoryview(b"abc"))
