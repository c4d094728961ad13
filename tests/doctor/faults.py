"""A clean data set, and ways to spoil it: each changes files as people and programs do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from xseg.data.generated.scenes import write_scenes

SIZE, CROP = (64, 96), (48, 48)
COUNTS = (8, 4, 3)


def write_clean(root: Path) -> Path:
    """Write 15 street scenes with 8 classes in three splits."""
    write_scenes(root, counts=COUNTS, size=SIZE, seed=11)
    return root


def image(root: Path, index: int = 0, split: str = "train") -> Path:
    return sorted((root / split / "images").iterdir())[index]


def mask(root: Path, index: int = 0, split: str = "train") -> Path:
    return sorted((root / split / "masks").iterdir())[index]


def masks(root: Path) -> list[Path]:
    return sorted(root.glob("*/masks/*"))


def images(root: Path) -> list[Path]:
    return sorted(root.glob("*/images/*"))


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def store(array: np.ndarray, path: Path, **options: object) -> None:
    Image.fromarray(array).save(path, **options)


def change(path: Path, function: Callable[[np.ndarray], np.ndarray]) -> None:
    store(np.ascontiguousarray(function(load(path))), path)


def cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def set_value(array: np.ndarray, value: int, rows: slice = slice(3, 7), columns: slice = slice(5, 9)) -> np.ndarray:
    changed = array.copy()
    changed[rows, columns] = value
    return changed


def two_classes(root: Path, values: tuple[int, int]) -> None:
    """Make every mask one of sky and the rest, under the numbers given."""
    (root / "labels.yaml").unlink(missing_ok=True)
    (root / "classes.txt").write_text("rest\nsky\n", encoding="utf-8")
    for path in masks(root):
        change(path, lambda array: np.where(array == 0, values[1], values[0]).astype(np.uint8))


def rename_classes(root: Path, names: list[str]) -> None:
    (root / "labels.yaml").unlink(missing_ok=True)
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def with_exif(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = load(path)
    path.unlink()
    Image.fromarray(pixels).save(path.with_suffix(".jpg"), exif=exif, quality=95)


def palette_image(path: Path, palette: list[int]) -> None:
    picture = Image.fromarray(load(path)).convert("P")
    picture = Image.fromarray(load(path), "P") if picture.mode != "P" else picture
    picture.putdata(load(path).ravel().tolist())
    picture.putpalette(palette)
    picture.save(path)


NAMES = ["sky", "building", "road", "pavement", "tree", "car", "pedestrian", "sign"]


@dataclass(frozen=True)
class Fault:
    """One fault: the check that must find it, the severity, and how it is planted."""

    check: str
    severity: str
    plant: Callable[[Path], object]
    fixable: bool = False


def mask_missing(root: Path) -> None:
    mask(root, 2).unlink()


def image_missing(root: Path) -> None:
    image(root, 2).unlink()


def empty_mask(root: Path) -> None:
    mask(root).write_bytes(b"")


def truncated_image(root: Path) -> None:
    cut(image(root, 1))


def truncated_jpeg(root: Path) -> None:
    path = image(root, 1)
    store(load(path), path.with_suffix(".jpg"), quality=95)
    path.unlink()
    cut(path.with_suffix(".jpg"))


def text_as_mask(root: Path) -> None:
    mask(root, 1).write_text("<html>404</html>" * 20, encoding="utf-8")


def other_size(root: Path) -> None:
    change(mask(root, 3), lambda array: cv2.resize(array, (48, 32), interpolation=cv2.INTER_NEAREST))


def other_shape(root: Path) -> None:
    change(mask(root, 3), lambda array: array[:, :-10])


def exif_turned(root: Path) -> None:
    path = image(root, 2)
    change(path, lambda array: np.rot90(array))  # stored lying: orientation 6 turns it upright, clockwise
    change(mask(root, 2), lambda array: np.rot90(array))
    with_exif(path, 6)


def exif_upside_down(root: Path) -> None:
    with_exif(image(root, 2), 3)


def unknown_value(root: Path) -> None:
    change(mask(root, 1), lambda array: set_value(array, 37))


def binary_mask(root: Path) -> None:
    two_classes(root, (0, 255))


def stretched(root: Path) -> None:
    for path in masks(root):
        change(path, lambda array: array * 30)


def numbered_from_one(root: Path) -> None:
    for path in masks(root):
        change(path, lambda array: array + 1)


def one_name_less(root: Path) -> None:
    rename_classes(root, NAMES[:-1])


def one_name_more(root: Path) -> None:
    rename_classes(root, [*NAMES, "boat"])


def colored(root: Path) -> None:
    from xseg.data.generated.scenes import LABELS

    table = np.asarray(LABELS.colors, np.uint8)
    for path in masks(root):
        change(path, lambda array: table[array])


def colored_strangely(root: Path) -> None:
    table = np.random.default_rng(0).integers(0, 256, (8, 3), np.uint8)
    change(mask(root), lambda array: table[array])


def grey_rgb(root: Path) -> None:
    for path in masks(root):
        change(path, lambda array: np.repeat(array[..., None], 3, axis=2))


def alpha(root: Path) -> None:
    for index in range(2):
        change(mask(root, index), lambda array: np.dstack([array, array, array, np.full_like(array, 255)]))


def jpeg_mask(root: Path) -> None:
    path = mask(root, 1)
    store(load(path) * 30, path.with_suffix(".jpg"))
    path.unlink()


def antialiased(root: Path) -> None:
    for path in masks(root)[:4]:
        change(path, lambda array: cv2.resize(cv2.resize(array, (48, 32), interpolation=cv2.INTER_AREA), (96, 64)))


def sixteen_bits(root: Path) -> None:
    for path in masks(root):
        change(path, lambda array: array.astype(np.uint16))


def palettes_differ(root: Path) -> None:
    first = list(range(256)) * 3
    for index in range(4):
        palette_image(mask(root, index), first if index % 2 else first[::-1])


def constant_mask(root: Path) -> None:
    change(mask(root, 1), lambda array: np.full_like(array, 2))


def constant_masks(root: Path) -> None:
    for path in sorted((root / "train" / "masks").iterdir()):
        change(path, lambda array: np.full_like(array, 2))


def ignored_mask(root: Path) -> None:
    change(mask(root, 1), lambda array: np.full_like(array, 255))


def mostly_ignored(root: Path) -> None:
    for path in sorted((root / "train" / "masks").iterdir()):
        change(path, lambda array: np.where(np.arange(96) % 4 == 0, array, 255).astype(np.uint8))


def class_gone_from_train(root: Path) -> None:
    for path in sorted((root / "train" / "masks").iterdir()):
        change(path, lambda array: np.where(array == 5, 2, array))


def rare_class(root: Path) -> None:
    for path in sorted((root / "train" / "masks").iterdir()):
        change(path, lambda array: np.where(array == 7, 1, array))
    change(mask(root), lambda array: set_value(array, 7, slice(0, 2), slice(0, 2)))


def leaked(root: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copy(root / "train" / kind / "000003.png", root / "val" / kind / "copy.png")


def leaked_darker(root: Path) -> None:
    store((0.9 * load(image(root, 3))).astype(np.uint8), root / "val" / "images" / "copy.png")
    shutil.copy(mask(root, 3), root / "val" / "masks" / "copy.png")


def duplicated(root: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copy(root / "train" / kind / "000003.png", root / "train" / kind / "copy.png")


def mask_copied(root: Path) -> None:
    shutil.copy(mask(root, 0), mask(root, 4))


def image_as_mask(root: Path) -> None:
    shutil.copy(image(root, 5), mask(root, 5))


def wrong_suffix(root: Path) -> None:
    path = image(root, 1)
    pixels = load(path)
    Image.fromarray(pixels).save(path, format="JPEG", quality=95)


def black_image(root: Path) -> None:
    change(image(root, 1), np.zeros_like)


def grey_image(root: Path) -> None:
    change(image(root, 1), lambda array: array[..., 0])


def mixed_depths(root: Path) -> None:
    change(image(root, 1), lambda array: array[..., 0].astype(np.uint16) * 257)


def small_image(root: Path) -> None:
    for path in (image(root, 1), mask(root, 1)):
        change(path, lambda array: array[:40])


def sizes_in_validation(root: Path) -> None:
    for path in (image(root, 1, "val"), mask(root, 1, "val")):
        change(path, lambda array: array[:60])


def same_name(root: Path) -> None:
    store(load(image(root, 0))[:, ::-1].copy(), root / "train" / "images" / "000000.bmp")


def broken_link(root: Path) -> None:
    (root / "train" / "images" / "lost.png").symlink_to(root / "nowhere.png")


def link_circle(root: Path) -> None:
    folder = root / "train" / "images"
    (folder / "a.png").symlink_to(folder / "b.png")
    (folder / "b.png").symlink_to(folder / "a.png")


def hidden(root: Path) -> None:
    (root / "train" / "images" / "._000000.png").write_bytes(b"\x00\x05\x16\x07")


def notes_among_images(root: Path) -> None:
    (root / "val" / "images" / "notes.txt").write_text("to do", encoding="utf-8")


def case_collision(root: Path) -> None:
    for kind in ("images", "masks"):
        (root / "train" / kind / "000001.png").rename(root / "train" / kind / "street.png")
        (root / "train" / kind / "000002.png").rename(root / "train" / kind / "Street.png")


def umlaut(root: Path) -> None:
    for kind in ("images", "masks"):
        (root / "train" / kind / "000001.png").rename(root / "train" / kind / "straße.png")


def no_validation(root: Path) -> None:
    shutil.rmtree(root / "val")


def empty_validation(root: Path) -> None:
    for path in (root / "val").glob("*/*"):
        path.unlink()


def animated(root: Path) -> None:
    path = image(root, 1)
    page = Image.fromarray(load(path))
    page.save(path.with_suffix(".gif"), save_all=True, append_images=[page.rotate(180)])
    path.unlink()


def unreadable_link_target(root: Path) -> None:
    path = image(root, 1)
    os.truncate(path, 8)


FAULTS = (
    Fault("image-without-mask", "error", mask_missing, fixable=True),
    Fault("mask-without-image", "warning", image_missing, fixable=True),
    Fault("empty-files", "error", empty_mask, fixable=True),
    Fault("unreadable-files", "error", truncated_image, fixable=True),
    Fault("unreadable-files", "error", truncated_jpeg, fixable=True),
    Fault("unreadable-files", "error", unreadable_link_target, fixable=True),
    Fault("unreadable-files", "error", text_as_mask, fixable=True),
    Fault("size-mismatch", "error", other_size, fixable=True),
    Fault("size-mismatch", "error", other_shape),
    Fault("exif-disagreement", "error", exif_turned, fixable=True),
    Fault("exif-orientation", "warning", exif_upside_down),
    Fault("unknown-values", "error", unknown_value),
    Fault("binary-0-255", "error", binary_mask, fixable=True),
    Fault("stretched-values", "error", stretched, fixable=True),
    Fault("numbers-from-one", "error", numbered_from_one, fixable=True),
    Fault("class-count", "error", one_name_less),
    Fault("class-absent", "warning", one_name_more),
    Fault("color-masks", "error", colored, fixable=True),
    Fault("color-masks", "error", colored_strangely),
    Fault("grey-rgb-masks", "error", grey_rgb, fixable=True),
    Fault("alpha-masks", "error", alpha, fixable=True),
    Fault("lossy-masks", "error", jpeg_mask),
    Fault("interpolated-masks", "error", antialiased),
    Fault("deep-masks", "warning", sixteen_bits, fixable=True),
    Fault("palettes-differ", "warning", palettes_differ),
    Fault("constant-masks", "note", constant_mask),
    Fault("ignored-masks", "warning", ignored_mask),
    Fault("ignored-pixels", "warning", mostly_ignored),
    Fault("class-absent-in-split", "warning", class_gone_from_train),
    Fault("imbalance", "warning", rare_class),
    Fault("leak", "error", leaked, fixable=True),
    Fault("near-leak", "warning", leaked_darker),
    Fault("duplicates", "warning", duplicated, fixable=True),
    Fault("mask-copies", "warning", mask_copied),
    Fault("image-is-mask", "error", image_as_mask),
    Fault("suffix-mismatch", "warning", wrong_suffix, fixable=True),
    Fault("constant-images", "warning", black_image),
    Fault("mixed-channels", "warning", grey_image),
    Fault("smaller-than-crop", "warning", small_image),
    Fault("mixed-sizes", "note", sizes_in_validation),
    Fault("same-name", "error", same_name),
    Fault("broken-link", "error", broken_link),
    Fault("broken-link", "error", link_circle),
    Fault("hidden-files", "note", hidden),
    Fault("other-files", "note", notes_among_images),
    Fault("case-collision", "warning", case_collision),
    Fault("non-ascii-names", "note", umlaut),
    Fault("split-missing", "error", no_validation),
    Fault("split-empty", "error", empty_validation),
    Fault("animation", "warning", animated),
)
