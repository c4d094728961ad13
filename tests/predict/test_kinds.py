"""A folder of every kind of image that people have, and of every kind of file that only looks like one."""

from __future__ import annotations

import csv
import json
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

HEIGHT, WIDTH = 37, 53


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    path = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(Bundle(network.eval(), LabelMap(("a", "b", "c")), Normalization()), path)
    return path


def pixels(height=HEIGHT, width=WIDTH):
    rows, columns = np.mgrid[:height, :width]
    red, green = rows * 255 // max(1, height - 1), columns * 255 // max(1, width - 1)
    return np.stack([red, green, (red + green) // 2], axis=2).astype(np.uint8)


def write_pillow(folder):
    """Write what Pillow writes; return the sizes (height, width) that a person sees."""
    rgb = Image.fromarray(pixels())
    deep = (pixels()[..., 0].astype(np.uint16) * 257, pixels().astype(np.uint16) * 257)
    alpha = rgb.copy()
    alpha.putalpha(128)
    made = {
        "rgb.png": (rgb, {}),
        "grey.png": (rgb.convert("L"), {}),
        "grey_alpha.png": (alpha.convert("LA"), {}),
        "rgba.png": (alpha, {}),
        "palette.png": (rgb.convert("P"), {}),
        "one_bit.png": (rgb.convert("1"), {}),
        "grey16.png": (Image.fromarray(deep[0]), {}),
        "baseline.jpg": (rgb, {"quality": 90}),
        "progressive.jpeg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "grey.jpg": (rgb.convert("L"), {}),
        "UPPER.JPG": (rgb, {}),
        "bitmap.bmp": (rgb, {}),
        "graphics.gif": (rgb.convert("P"), {}),
        "web.webp": (rgb, {}),
        "web_alpha.webp": (alpha, {"lossless": True}),
        "strips.tif": (rgb, {}),
        "lzw.tiff": (rgb, {"compression": "tiff_lzw"}),
        "grey.pgm": (rgb.convert("L"), {}),
        "colour.ppm": (rgb, {}),
        "wavelet.jp2": (rgb, {}),
        "with spaces é 日本.png": (rgb, {}),
        "dots.v1.2.png": (rgb, {}),
    }
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    rgb.save(folder / "animated.gif", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "pages.tif", save_all=True, append_images=[rgb])
    return dict.fromkeys([*made, "animated.gif"], (HEIGHT, WIDTH))


def write_others(folder):
    """Write what Pillow does not; return the sizes."""
    rgb = pixels()
    deep = rgb.astype(np.uint16) * 257
    cv2.imwrite(str(folder / "rgb16.png"), deep[..., ::-1])
    cv2.imwrite(str(folder / "grey16.pgm"), deep[..., 0])
    tifffile.imwrite(folder / "tiles.tif", rgb, tile=(16, 16), photometric="rgb")
    tifffile.imwrite(folder / "deflate16.tif", deep, photometric="rgb", compression="zlib")
    tifffile.imwrite(folder / "planar.tif", np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(folder / "float.tif", rgb.astype(np.float32), photometric="rgb")
    tifffile.imwrite(folder / "big.tif", rgb, photometric="rgb", bigtiff=True)
    np.save(folder / "array.npy", rgb)
    Image.fromarray(pixels(1, 1)).save(folder / "one_pixel.png")
    Image.fromarray(pixels(3, 900)).save(folder / "very_wide.png")
    names = ["rgb16.png", "grey16.pgm", "tiles.tif", "deflate16.tif", "planar.tif", "float.tif", "big.tif", "array.npy"]
    return dict.fromkeys(names, (HEIGHT, WIDTH)) | {"one_pixel.png": (1, 1), "very_wide.png": (3, 900)}


def write_turned(folder):
    """Write the EXIF orientations 2 to 8; return the sizes of the images upright."""
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels()).save(folder / f"exif{orientation}.jpg", exif=exif)
    return {f"exif{index}.jpg": (HEIGHT, WIDTH) if index < 5 else (WIDTH, HEIGHT) for index in range(2, 9)}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_broken(folder):
    """Write files that look like images and are none; return their names."""
    good_png, good_jpeg = (folder / "rgb.png").read_bytes(), (folder / "baseline.jpg").read_bytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    content = {
        "x_empty.png": b"",
        "x_truncated.png": good_png[: len(good_png) // 2],
        "x_truncated.jpg": good_jpeg[: len(good_jpeg) // 2],
        "x_header_only.jpg": good_jpeg[:20],
        "x_text.png": b"this is text\n",
        "x_html.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "x_bomb.png": b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""),
        "x_zlib.png": good_png.replace(b"IDAT", b"IDAT" + b"\xff" * 8, 1),
        "x_pickle.npy": b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "x_tiff.tif": b"II*\x00\xff\xff\xff\xff",
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
    tifffile.imwrite(folder / "x_nan.tif", np.full((9, 9, 3), np.nan, np.float32), photometric="rgb")
    np.save(folder / "x_five_channels.npy", np.zeros((9, 9, 5), np.uint8))
    np.save(folder / "x_negative.npy", np.full((9, 9, 3), -1, np.float32))
    (folder / "x_folder.png").mkdir()
    (folder / "x_dangling.png").symlink_to(folder / "nowhere.png")
    return [*content, "x_nan.tif", "x_five_channels.npy", "x_negative.npy", "x_folder.png", "x_dangling.png"]


def write_geotiff(folder):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    transform = rasterio.transform.from_origin(500_000, 5_000_000, 0.5, 0.5)
    with rasterio.open(folder / "map.tif", "w", **profile, transform=transform) as dataset:
        dataset.write(np.moveaxis(pixels(), 2, 0))
    return {"map.tif": (HEIGHT, WIDTH)}


def test_every_good_one_is_right_and_every_broken_one_is_listed(model, tmp_path, capsys):
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    sizes = write_pillow(folder) | write_others(folder) | write_turned(folder) | write_geotiff(folder)
    several_pages = ["pages.tif"]  # which page is the image? It is refused, and says so
    broken = write_broken(folder) + several_pages
    assert len(sizes) >= 40
    assert len(broken) >= 15
    options = ["--backend", "torch", "--precision", "float32", "--batch_size", "4"]
    assert main(["predict", str(model), str(folder), "--output_dir", str(out), *options]) == 1
    errors = capsys.readouterr().err.splitlines()[1:]
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"].removeprefix(f"{folder}/"): row for row in csv.DictReader(file)}
    assert sorted(rows) == sorted([*sizes, *broken])
    assert {name for name, row in rows.items() if row["status"] == "failed"} == set(broken)
    assert len(errors) == len(broken), "one line each"
    for name in broken:
        assert name in rows[name]["error"]
        assert any(name in line for line in errors)
    for name, size in sizes.items():
        row = rows[name]
        assert (int(row["height"]), int(row["width"])) == size, name
        assert sum(json.loads(row["pixels"]).values()) == size[0] * size[1], name
        mask = Image.open(out / row["mask"])
        assert mask.size == size[::-1], name
    assert len({row["mask"] for row in rows.values() if row["mask"]}) == len(sizes), "no two share a file"


def test_turned_images_get_the_mask_of_the_image_upright(model, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    image = Image.fromarray(pixels())
    methods = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation -> the transposition that undoes itself
    for orientation, method in methods.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.transpose(Image.Transpose(method)).save(folder / f"{orientation}.png", exif=exif)
    image.save(folder / "1.png")
    options = ["--backend", "torch", "--precision", "float32"]
    assert main(["predict", str(model), str(folder), "--output_dir", str(out), *options]) == 0
    upright = np.asarray(Image.open(out / "masks" / "1.png"))
    for orientation in methods:
        np.testing.assert_array_equal(np.asarray(Image.open(out / "masks" / f"{orientation}.png")), upright)


def test_an_image_of_16_bits_gets_the_mask_that_it_gets_in_8(model, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(pixels()).save(folder / "shallow.png")
    cv2.imwrite(str(folder / "deep.png"), (pixels().astype(np.uint16) * 257)[..., ::-1])
    options = ["--backend", "torch", "--precision", "float32"]
    assert main(["predict", str(model), str(folder), "--output_dir", str(out), *options]) == 0
    deep, shallow = (np.asarray(Image.open(out / "masks" / f"{name}.png")) for name in ("deep", "shallow"))
    assert (deep == shallow).mean() > 0.999
