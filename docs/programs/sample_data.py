"""`python docs/programs/sample_data.py KIND FOLDER` draws a small data set in the layout of downloaded ones.

The pages of docs/tasks use it, so that their commands run anywhere; replace FOLDER by your own data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array: TypeAlias = NDArray[Any]


def noise(rng: np.random.Generator, side: int, grain: int) -> Array:
    """Return smooth noise from 0 to 1, (side, side), with waves of about `grain` pixels."""
    coarse = rng.random((side // grain + 3, side // grain + 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)


def streets(folder: Path) -> None:
    """Street scenes: train/images, train/masks, the same for val and test, and classes.txt."""
    from xseg.data.generated.scenes import write_scenes

    write_scenes(folder, counts=(48, 12, 12), size=(128, 192))


def retina(folder: Path) -> None:
    """Retina photographs in DRIVE's layout: vessels, and the field of view of the camera."""
    side = 160
    for part, first, count in (("training", 21, 15), ("test", 1, 5)):
        for number in range(first, first + count):
            rng = np.random.default_rng(number)
            view = np.zeros((side, side), np.uint8)
            cv2.circle(view, (side // 2, side // 2), side // 2 - 6, 255, -1)
            vessels = np.zeros_like(view)
            for _ in range(9):  # from the optic disc outwards
                angle, point = rng.uniform(0, 2 * np.pi), np.array([side * 0.3, side * 0.5])
                for step in range(40):
                    angle += rng.normal(0, 0.25)
                    end = point + 4 * np.array([np.cos(angle), np.sin(angle)])
                    ends = [tuple(int(value) for value in place.round()) for place in (point, end)]
                    cv2.line(vessels, ends[0], ends[1], 255, 3 if step < 15 else 2)
                    point = end
            light = 0.6 + 0.4 * noise(rng, side, 60)
            image = np.stack([190 * light, 95 * light, 50 * light], axis=2)
            image -= 0.3 * image * (cv2.GaussianBlur(vessels, (3, 3), 0)[..., None] / 255)
            image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255) * (view[..., None] > 0)
            for name, array in (
                (f"images/{number:02}_{part}.tif", image.astype(np.uint8)),
                (f"1st_manual/{number:02}_manual1.gif", vessels & view),
                (f"mask/{number:02}_{part}_mask.gif", view),
            ):
                (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / part / name)


def land(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Return reflectances of red, green, blue and near infrared, (side, side, 4), 0 to 1, and a mask of four classes.

    Classes: field, forest, water, building. Forest and water differ in the infrared only.
    """
    height = noise(rng, side, 70)
    mask = np.where(height > 0.62, 1, np.where(height < 0.3, 2, 0)).astype(np.uint8)
    for _ in range(side * side // 2500):
        x, y, w, h = (int(value) for value in (*rng.integers(0, side, 2), *rng.integers(8, 20, 2)))
        cv2.rectangle(mask, (x, y), (x + w, y + h), 3, -1)
    colors = np.array([[0.5, 0.5, 0.3, 0.5], [0.2, 0.3, 0.2, 0.7], [0.2, 0.3, 0.25, 0.05], [0.7, 0.6, 0.55, 0.4]])
    image = colors[mask] * (0.8 + 0.4 * noise(rng, side, 5)[..., None])
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1), mask


def bands(folder: Path) -> None:
    """Four-band 16-bit TIFFs: images/NAME.tif, masks/NAME.png and classes.txt; no splits."""
    import tifffile

    for number in range(24):
        image, mask = land(np.random.default_rng(number), 128)
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "images" / f"{number:02}.tif", (image * 10_000).astype(np.uint16))
        Image.fromarray(mask).save(folder / "masks" / f"{number:02}.png")
    (folder / "classes.txt").write_text("field\nforest\nwater\nbuilding\n")


def aerial(folder: Path) -> None:
    """GeoTIFF chips with masks, images/NAME.tif and labels/NAME.tif, and the map region.tif of 1500 x 1500 pixels."""
    import rasterio
    from rasterio.transform import from_origin

    def write(path: Path, array: Array, east: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        count, (rows, columns) = array.shape[0], array.shape[1:]
        grid = {"crs": "EPSG:32632", "transform": from_origin(east, 5_300_000, 0.5, 0.5)}
        with rasterio.open(
            path, "w", driver="GTiff", width=columns, height=rows, count=count, dtype="uint8", **grid
        ) as raster:
            raster.write(array)

    for number in range(24):
        image, mask = land(np.random.default_rng(number), 128)
        write(folder / "images" / f"{number:02}.tif", (image[..., :3] * 255).astype(np.uint8).transpose(2, 0, 1), 5e5)
        write(folder / "labels" / f"{number:02}.tif", mask[None], 5e5)
    image, _ = land(np.random.default_rng(99), 1500)
    write(folder / "region.tif", (image[..., :3] * 255).astype(np.uint8).transpose(2, 0, 1), 5e5)
    (folder / "classes.txt").write_text("field\nforest\nwater\nbuilding\n")


def shapes(folder: Path) -> None:
    """Overlapping shapes: train/images/NAME.png, train/masks/NAME_CLASS.png, the same for val and test."""
    from xseg.data.generated.scenes import OVERLAPPING_LABELS, overlapping_scene, scene_key
    from xseg.types import SPLITS

    for split, count in zip(SPLITS, (160, 24, 12), strict=True):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, mask = overlapping_scene(scene_key(0, split, index), 64, 64)
            Image.fromarray(image).save(folder / split / "images" / f"{index:03}.png")
            for band, name in enumerate(OVERLAPPING_LABELS.names):
                if band == 0 or mask[..., band].any():
                    Image.fromarray(mask[..., band] * 255).save(folder / split / "masks" / f"{index:03}_{name}.png")


def film(path: Path) -> None:
    """Write a video of 24 frames in which the camera pans over a street."""
    from xseg.data.generated.scenes import scene

    wide, _ = scene(7, 128, 240)
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12, (192, 128))
    for frame in range(24):
        video.write(np.ascontiguousarray(wide[:, 2 * frame : 2 * frame + 192, ::-1]))
    video.release()


KINDS: dict[str, Callable[[Path], None]] = {
    kind.__name__: kind for kind in (streets, retina, bands, aerial, shapes, film)
}


def main() -> None:
    """Draw a data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    KINDS[arguments.kind](arguments.folder)
    print(f"{arguments.kind} in {arguments.folder}")


if __name__ == "__main__":
    main()
