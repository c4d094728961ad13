"""Any picture becomes (H, W, C) RGB as a person sees it, or one line that names the file."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from xseg.data.masks.numbers import read_mask
from xseg.errors import DataError, MissingExtraError
from xseg.images import reading as images
from xseg.images.reading import image_array, image_size, read_image

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (5, 7, 3), np.uint8)
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 4, 3), np.uint8), (48, 32), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_becomes_the_rgb_that_pillow_shows(mode):
    picture = Image.fromarray(SMOOTH).convert("P" if mode == "PA" else mode)
    picture = picture.convert(mode)
    array = image_array(picture)
    assert array.dtype == np.uint8
    assert np.array_equal(array, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", "png"), ("P", "png"), ("LA", "png"), ("CMYK", "jpg"), ("P", "gif")]
)
def test_files_of_other_modes_come_out_as_three_channels(mode, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(SMOOTH).convert(mode).save(path)
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("RGB"))
    array = read_image(path)
    assert array.shape == (32, 48, 3)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert np.array_equal(array, expected)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif)
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert np.array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2] == ((48, 32) if orientation >= 5 else (32, 48))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_keep_their_depth_and_order(channels, suffix, tmp_path):
    deep = RNG.integers(0, 65536, (5, 7, channels)).astype(np.uint16)
    path = tmp_path / f"a.{suffix}"
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(path), deep[..., order])
    assert np.array_equal(read_image(path, channels), deep)
    assert np.array_equal(read_image(path), deep[..., :3])


def test_sixteen_bit_grey_is_repeated_and_kept_deep(tmp_path):
    deep = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.repeat(deep[..., None], 3, axis=2))
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1), deep[..., None])


@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiffs_are_read(channels, tmp_path):
    values = RNG.random((5, 7, channels), np.float32)
    cv2.imwrite(str(tmp_path / "a.tiff"), values[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])  # lossless
    assert np.array_equal(read_image(tmp_path / "a.tiff", channels), values)
    assert image_size(tmp_path / "a.tiff") == (5, 7)


def test_arrays_of_many_channels_are_read_and_never_unpickled(tmp_path):
    bands = RNG.integers(0, 65536, (5, 7, 6)).astype(np.uint16)
    np.save(tmp_path / "a.npy", bands)
    assert np.array_equal(read_image(tmp_path / "a.npy", channels=6), bands)
    assert image_size(tmp_path / "a.npy") == (5, 7)
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], object))
    with pytest.raises(DataError, match=r"b\.npy"):
        read_image(tmp_path / "b.npy")


def test_other_channels_than_asked_are_refused(tmp_path):
    Image.fromarray(COLORS).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png has 3 channels; expected 4; set channels"):
        read_image(tmp_path / "a.png", channels=4)


def encoded(suffix):
    buffer = io.BytesIO()
    if suffix.startswith("deep"):
        return cv2.imencode(suffix[4:], RNG.integers(0, 65536, (32, 48, 3)).astype(np.uint16))[1].tobytes()
    if suffix == "float.tiff":
        return cv2.imencode(".tiff", RNG.random((32, 48, 3), np.float32))[1].tobytes()
    Image.fromarray(SMOOTH).save(buffer, format={"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    return buffer.getvalue()


FILES = {
    suffix: encoded(suffix) for suffix in ("png", "jpg", "tif", "bmp", "webp", "deep.png", "deep.tiff", "float.tiff")
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", FILES)
def test_a_truncated_file_is_an_error_and_never_half_a_picture(suffix, tmp_path, capfd):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(FILES[suffix])
    whole = read_image(path)
    for share in np.linspace(0, 0.98, 25):
        path.write_bytes(FILES[suffix][: int(len(FILES[suffix]) * share)])
        array = read_or_error(path)
        if isinstance(array, np.ndarray):  # what is cut off may be padding or metadata behind the pixels
            assert share > 0.5
            assert np.array_equal(array, whole)


def read_or_error(path):
    """The pixels, or a one-line error that names the file."""
    try:
        return read_image(path)
    except DataError as error:
        caught = error
    assert str(path) in str(caught)
    assert "\n" not in str(caught)
    return caught


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from(sorted(FILES)), place=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_pixels_or_one_line_and_nothing_else(suffix, place, byte, tmp_path):
    data = bytearray(FILES[suffix])
    data[int(place * len(data))] = byte
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    array = read_or_error(path)
    if isinstance(array, np.ndarray):
        assert array.ndim == 3
        assert array.shape[2] == 3


def test_decoders_print_nothing_whatever_is_wrong_with_a_file(tmp_path):
    """In a process of its own, as pytest keeps warnings and logs from the terminal itself."""
    contents = {
        **FILES,
        "deepalpha.png": cv2.imencode(".png", RNG.integers(0, 65536, (9, 9, 4), np.uint16))[1].tobytes(),
    }
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        buffer = io.BytesIO()
        Image.fromarray(SMOOTH).save(buffer, "TIFF", compression=compression)
        contents[f"{compression}.tif"] = buffer.getvalue()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    code = """
import pathlib, random, struct, sys, zlib
from xseg.data.masks.numbers import read_mask
from xseg.errors import XsegError
from xseg.images.reading import read_image
random.seed(0)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for _ in range(30):
        content = bytearray(path.read_bytes())
        for _ in range(random.randrange(1, 4)):
            content[random.randrange(random.choice([100, len(content)]))] = random.randrange(256)
        content = content[: random.choice([len(content), random.randrange(len(content))])]
        if path.suffix == ".png" and len(content) > 33:
            content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        try:
            read_image(bytes(content))
        except XsegError:
            pass
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def png(rows, *, width, height, depth=16, color=2, interlace=0, chunks=()):
    """A PNG of these bytes of rows, filters included."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@given(st.integers(1, 11), st.integers(1, 11), st.booleans())
@settings(max_examples=60, deadline=None)
def test_deep_colours_are_read_to_the_last_bit_interlaced_or_not(height, width, interlaced):
    pixels = np.random.default_rng(height * 11 + width).integers(0, 65536, (height, width, 3)).astype(np.uint16)
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[row::down, column::across] for row, column, down, across in starts] if interlaced else [pixels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.shape[1] for row in part)
    profile = (b"iCCP", b"sRGB\0\0no profile")  # libpng complains of it, and the pixels do not depend on it
    content = png(rows, width=width, height=height, interlace=int(interlaced), chunks=[profile])
    np.testing.assert_array_equal(read_image(content), pixels)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(bytes(4 * 19), width=3, height=5), "its header specifies 95 bytes of pixels"),
        (png(bytes(5 * 19), width=3, height=4), "its header specifies 76 bytes of pixels"),
        (png(bytes(5 * 19), width=13000, height=13000), "its header specifies 1014013000 bytes of pixels"),
        (png(b"\5" + bytes(18), width=3, height=1), "a row has an unknown filter"),
        (png(bytes(19), width=3, height=1)[:-20], "it is truncated"),
        (
            re.sub(b"....IDAT", b"\xff\xff\xff\xf0IDAT", png(bytes(19), width=3, height=1), flags=re.DOTALL),
            "it is truncated",
        ),
        (re.sub(b"IDAT...", b"IDATxxx", png(bytes(19), width=3, height=1), flags=re.DOTALL), "checksum of IDAT"),
    ],
)
def test_a_deep_png_that_is_not_what_its_header_says_reaches_no_decoder(content, reason, monkeypatch):
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded all the same"))
    with pytest.raises(DataError, match=f"row 7 cannot be decoded .*{reason}.*complete PNG"):
        read_image(content, name="row 7")


@pytest.mark.parametrize(
    ("depth", "color", "interlace"), [(16, 0, 0), (16, 0, 1), (8, 0, 0), (8, 2, 0), (8, 3, 0), (1, 0, 0)]
)
def test_a_png_too_short_for_its_header_is_refused_at_once(depth, color, interlace, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded all the same"))
    content = png(bytes(3 * 40), width=9000, height=9000, depth=depth, color=color, interlace=interlace)
    for read in (read_image, read_mask):
        with pytest.raises(
            DataError, match=r"row 7 cannot be decoded \(its header specifies \d+ bytes of pixels, more"
        ):
            read(content, name="row 7")


@pytest.mark.parametrize("function", [read_image, image_size])
def test_what_is_no_image_is_told_in_one_line(function, tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture at all")
    (tmp_path / "folder.png").mkdir()
    for name, told in {
        "missing.png": "does not exist",
        "empty.png": "is empty",
        "text.png": "is not an image",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path / name))} {told}"):
            function(tmp_path / name)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    header = b"IHDR" + struct.pack(">II", 30_000, 30_000) + buffer.getvalue()[24:29]
    path.write_bytes(buffer.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + buffer.getvalue()[33:])
    with pytest.raises(DataError, match=r"bomb.png is too large: .*900000000.*; cut it"):
        read_image(path)


BANDS = RNG.integers(0, 65536, (6, 9, 5)).astype(np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
@pytest.mark.parametrize("layout", ["contig", "separate", "pages"])
def test_tiffs_of_many_bands_are_read_whatever_their_layout(layout, compression, dtype, tmp_path):
    if compression in ("lzw", "packbits"):
        pytest.importorskip("imagecodecs", reason="tifffile writes this compression with it alone")
    bands = (BANDS >> 8).astype(dtype)
    path = tmp_path / "a.tif"
    arranged = bands if layout == "contig" else np.moveaxis(bands, -1, 0)
    planar = None if layout == "pages" else layout
    tifffile.imwrite(
        path, arranged, photometric="minisblack", planarconfig=planar, compression=compression, metadata=None
    )
    assert np.array_equal(read_image(path, channels=5), bands)
    assert read_image(path, channels=5).dtype == dtype
    assert image_size(path) == (6, 9)
    with pytest.raises(DataError, match=r"a.tif has 5 channels; expected 3; set channels"):
        read_image(path)


def test_a_band_of_four_is_not_dropped_unless_three_are_asked_for(tmp_path):
    four = (BANDS[..., :4] >> 8).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(read_image(tmp_path / "a.tif", channels=4), four)
    assert np.array_equal(read_image(tmp_path / "a.tif"), four[..., :3])


def test_big_tiffs_and_turned_ones_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", BANDS, bigtiff=True, photometric="minisblack", planarconfig="contig")
    assert np.array_equal(read_image(tmp_path / "a.tif", channels=5), BANDS)
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "b.tif", BANDS, photometric="minisblack", planarconfig="contig", extratags=turned)
    assert np.array_equal(read_image(tmp_path / "b.tif", channels=5), np.rot90(BANDS, -1))
    assert image_size(tmp_path / "b.tif") == (9, 6)


def test_overviews_are_no_pages_and_other_pages_are_told(tmp_path):
    picture = RNG.integers(0, 256, (64, 48, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(picture, photometric="rgb", subifds=1)
        file.write(picture[::2, ::2], photometric="rgb", subfiletype=1)
    assert np.array_equal(read_image(tmp_path / "a.tif"), picture)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(picture, photometric="rgb", metadata=None)
        file.write(picture[:50, :20], photometric="rgb", metadata=None)
    with pytest.raises(DataError, match=r"b.tif holds 2 pages of different kinds \(64x48x3, 50x20x3\)"):
        read_image(tmp_path / "b.tif")


def test_a_stack_with_two_more_axes_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 8, 9), np.uint16), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(DataError, match=r"a.tif is a stack of shape 2x3x8x9 \(axes TZYX\)"):
        read_image(tmp_path / "a.tif", channels=3)


def test_whole_numbers_of_other_types_are_read_where_16_bits_hold_them(tmp_path):
    for dtype in (np.int16, np.int32, np.uint32, np.int64):
        np.save(tmp_path / "a.npy", np.arange(12, dtype=dtype).reshape(3, 4) * 2500)
        array = read_image(tmp_path / "a.npy", channels=1)
        assert array.dtype == np.uint16
        assert array[..., 0].tolist() == [
            [0, 2500, 5000, 7500],
            [10000, 12500, 15000, 17500],
            [20000, 22500, 25000, 27500],
        ]
    np.save(tmp_path / "a.npy", np.array([[-1, 4]], np.int16))
    with pytest.raises(DataError, match="has values from -1 to 4; expected 0 to 65535"):
        read_image(tmp_path / "a.npy", channels=1)
    tifffile.imwrite(tmp_path / "b.tif", np.array([[3, 400]], np.int16))
    assert read_image(tmp_path / "b.tif", channels=1).ravel().tolist() == [3, 400]


def test_a_huge_tiff_is_refused_by_its_header(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", BANDS, photometric="minisblack", planarconfig="contig")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"a.tif is too large: 6x9 pixels; expected at most 40 pixels; cut it"):
        read_image(tmp_path / "a.tif", channels=5)


def test_without_its_codec_a_tiff_is_read_otherwise_or_names_the_extra(tmp_path, monkeypatch):
    pytest.importorskip("imagecodecs", reason="tifffile writes this compression with it alone")
    for bands in (3, 5):
        tifffile.imwrite(
            tmp_path / f"{bands}.tif", BANDS[..., :bands], compression="lzw", planarconfig="contig",
            photometric="rgb" if bands == 3 else "minisblack",
        )  # fmt: skip

    def lacking(*_, **__):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lacking)
    assert np.array_equal(read_image(tmp_path / "3.tif"), BANDS[..., :3])
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingExtraError, match=r"compression of .*5.tif needs rasterio.*'xseg\[geo\]'"):
        read_image(tmp_path / "5.tif", channels=5)


def test_a_files_content_is_read_as_the_file_is(tmp_path):
    for suffix, content in FILES.items():
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content)
        assert np.array_equal(read_image(content), read_image(path))
    with pytest.raises(DataError, match=r"^row 7 cannot be decoded"):
        read_image(FILES["png"][:100], name="row 7")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_cmyk_jpegs_have_the_colours_that_a_person_sees(tmp_path):
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - SMOOTH).max() <= 6


def test_a_one_bit_png_is_black_and_white(tmp_path):
    bits = RNG.integers(0, 2, (9, 17)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png")[..., 1], bits * np.uint8(255))
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1)[..., 0], bits * np.uint8(255))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_one_channel_turns_any_colours_into_grey(kind, suffix, bands, tmp_path):
    if suffix == "png" and kind == np.float32:
        pytest.skip("a PNG holds whole numbers")
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[kind]
    colors = np.concatenate([SMOOTH, np.full_like(SMOOTH[..., :1], 255)], axis=2)[..., :bands]
    array, path = (colors.astype(np.float64) * scale).astype(kind), tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, array)
    elif suffix == "tif":
        tifffile.imwrite(
            path, array[..., 0] if bands == 1 else array, photometric="minisblack" if bands == 1 else "rgb"
        )
    else:
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[bands]
        cv2.imwrite(str(path), array[..., order])
    weights = [1.0] if bands == 1 else [0.299, 0.587, 0.114, 0.0][:bands]
    grey = read_image(path, channels=1)
    assert grey.shape == (32, 48, 1)
    assert grey.dtype == kind
    assert np.allclose(grey[..., 0], array.astype(np.float64) @ weights, atol=0 if bands == 1 else scale)


@pytest.mark.parametrize("chosen", [(1,), (2,), (3,), (3, 1), (2, 2, 3, 1)])
@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.tif", "bands.tif", "a.npy", "palette.png"])
def test_bands_are_those_of_the_file_counted_from_1(name, chosen, tmp_path):
    path, array = tmp_path / name, COLORS
    if name == "deep.png":
        array = COLORS.astype(np.uint16) * 257
        cv2.imwrite(str(path), array[..., ::-1])
    elif name == "bands.tif":
        array = RNG.integers(0, 60_000, (5, 7, 6), np.uint16)
        tifffile.imwrite(path, array, photometric="minisblack", planarconfig="contig")
    elif name == "palette.png":
        picture = Image.fromarray(SMOOTH).quantize(16)
        picture.save(path)
        array = np.asarray(picture.convert("RGB"))
    elif name == "a.npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    found = read_image(path, chosen)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array[..., [band - 1 for band in chosen]])


def test_alpha_is_the_fourth_band_and_a_band_too_many_is_refused(tmp_path):
    array = RNG.integers(0, 256, (5, 7, 4), np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", (4, 1)), array[..., [3, 0]])
    Image.fromarray(array[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png", (1,)), array[..., :1])
    with pytest.raises(DataError, match=r"grey\.png has 1 bands; expected band 2, as in channels=\[2\]"):
        read_image(tmp_path / "grey.png", (2,))
