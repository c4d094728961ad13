"""Masks are read as numbers, and every number has a meaning or is told."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xseg.data.masks.numbers import count_values, read_mask, to_train_ids
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap

RNG = np.random.default_rng(0)


def indexed(values, palette):
    picture = Image.fromarray(values, mode="P")
    picture.putpalette(palette)
    return picture


def test_palette_masks_are_indices_and_not_colours(tmp_path):
    values = RNG.integers(0, 5, (6, 9), np.uint8)
    palette = [255, 255, 255] * 5  # all alike: whoever reads colours cannot tell the classes apart
    indexed(values, palette).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), values)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_masks_of_few_bits_keep_their_numbers(bits, tmp_path):
    values = RNG.integers(0, 2**bits, (6, 9)).astype(np.uint8)
    indexed(values, list(range(256)) * 3).save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(read_mask(tmp_path / "a.png"), values)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_masks_of_few_bits_are_not_stretched(bits, tmp_path):
    values = RNG.integers(0, 2**bits, (6, 16)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(grey_png(values, bits))
    assert np.array_equal(read_mask(tmp_path / "a.png"), values)


def grey_png(values, bits):
    """A PNG of 1, 2 or 4 bits of grey, which neither Pillow nor OpenCV writes."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    unpacked = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(values.shape[0], -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(unpacked, axis=1))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bit_masks_keep_their_numbers(tmp_path):
    values = RNG.integers(0, 65536, (6, 9)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), values)


def test_colour_masks_and_damaged_ones_are_told(tmp_path, save):
    with pytest.raises(DataError, match=r"mask .*a.png is a colour image \(RGB\); expected one number per pixel"):
        read_mask(save(RNG.integers(0, 2, (6, 9, 3), np.uint8), tmp_path / "a.png"))
    with pytest.raises(DataError, match=r"b.png does not exist"):
        read_mask(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"mask .*c.png is not an image"):
        read_mask(tmp_path / "c.png")
    whole = save(RNG.integers(0, 9, (60, 90), np.uint8), tmp_path / "d.png").read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"d.png cannot be decoded"):
        read_mask(tmp_path / "d.png")


@given(st.data())
def test_train_ids_are_the_label_maps_own(data):
    raw_ids = data.draw(st.lists(st.integers(0, 300), min_size=2, max_size=8, unique=True))
    classes, ignored = raw_ids[:-1], raw_ids[-1:]
    labels = LabelMap(tuple(map(str, classes)), raw_ids=tuple(classes), ignored_raw_ids=tuple(ignored))
    kind = np.uint8 if max(raw_ids) < 256 else np.uint16
    mask = np.array(data.draw(st.lists(st.sampled_from(raw_ids), min_size=6, max_size=6)), kind).reshape(2, 3)
    expected = [[labels.train_ids()[int(value)] for value in row] for row in mask]
    assert to_train_ids(mask, labels, "m").tolist() == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_value_without_meaning_is_told_with_its_pixels(kind):
    labels = LabelMap(tuple("abc"), ignored_raw_ids=(3,))
    mask = np.zeros((20, 10), kind)
    mask[:12] = 37
    with pytest.raises(DataError) as caught:
        to_train_ids(mask, labels, "trainannot/x.png")
    assert str(caught.value) == (
        "mask trainannot/x.png has value 37 in 120 pixels; expected 0 to 2 or 3, 255 (ignored); "
        "add it to the label map, or to ignored_raw_ids"
    )


def test_more_than_255_classes_need_and_get_16_bits():
    labels = LabelMap(tuple(map(str, range(300))), ignore_index=65_535)
    mask = np.array([[0, 299, 65_535]], np.uint16)
    assert to_train_ids(mask, labels, "m").tolist() == [[0, 299, 65_535]]


def test_counts_are_of_pixels():
    assert count_values(np.array([[1, 1, 7], [7, 7, 0]], np.uint8)) == {0: 1, 1: 2, 7: 3}


@pytest.mark.parametrize("suffix", ["gif", "tif", "bmp", "webp"])
def test_masks_of_other_formats_keep_their_numbers(suffix, tmp_path):
    values = RNG.integers(0, 5, (6, 9), np.uint8)
    if suffix == "webp":  # it knows colours alone
        Image.fromarray(np.repeat(values[..., None], 3, axis=2)).save(tmp_path / "a.webp", lossless=True)
        with pytest.raises(DataError, match="colour image"):
            read_mask(tmp_path / "a.webp")
        return
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    assert np.array_equal(read_mask(tmp_path / f"a.{suffix}"), values)


def test_gif_masks_of_a_palette_are_indices(tmp_path):
    values = RNG.integers(0, 5, (6, 9), np.uint8)
    indexed(values, [10, 20, 30, 40, 50, 60, 1, 2, 3, 4, 5, 6, 7, 8, 9]).save(tmp_path / "a.gif")
    assert np.array_equal(read_mask(tmp_path / "a.gif"), values)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint32, np.int32])
def test_tiff_masks_of_any_whole_numbers_are_read(dtype, tmp_path):
    values = RNG.integers(0, 100, (6, 9)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert np.array_equal(read_mask(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("suffix", ["gif", "tif"])
def test_a_mask_of_several_pages_is_refused_with_their_number(suffix, tmp_path):
    pages = [Image.fromarray(RNG.integers(0, 5, (6, 9), np.uint8)) for _ in range(3)]
    pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=rf"mask .*a.{suffix} holds 3 pages; expected one"):
        read_mask(tmp_path / f"a.{suffix}")


def test_a_files_content_is_read_as_the_file_is(tmp_path, save):
    values = RNG.integers(0, 5, (6, 9), np.uint8)
    content = save(values, tmp_path / "a.png").read_bytes()
    assert np.array_equal(read_mask(content, name="row 3"), values)
    with pytest.raises(DataError, match=r"^row 3 cannot be decoded"):
        read_mask(content[:50], name="row 3")
