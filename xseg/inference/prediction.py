"""Predictions and failures for single images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xseg.errors import ConfigError, XsegError
from xseg.files.atomic import atomic_path
from xseg.images.overlay import ALPHA, Pixels, add_legend, blend, displayable
from xseg.labels.label_map import LabelMap
from xseg.labels.mask_values import decoded, encoded, value_table
from xseg.types import MaskValues, PathArgument

SHOWN = 1024  # largest height and width in a notebook, in pixels
_PAGE_NAME = 285  # TIFF 6.0, section 12


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for one image.

    Args:
        mask: train ids, (H, W) uint8, or uint16 for more than 256 classes; for overlapping classes (H, W, classes)
            uint8, 1 where a pixel has the class and 0 elsewhere.
        image: pixels of the image, (H, W, C).
        labels: label map of the train ids.
        probabilities: probabilities, (classes, H, W) float32, with sum 1 over exclusive classes; None if not requested.
        path: path of the image, if it comes from a file.
        seconds: time for reading, plus the share of the batch.
    """

    mask: NDArray[Any]
    image: NDArray[Any]
    labels: LabelMap
    probabilities: NDArray[np.float32] | None = None
    path: Path | None = None
    seconds: float = 0.0

    @property
    def pixels(self) -> dict[str, int]:
        """Number of pixels per class name, for all classes."""
        return dict(zip(self.labels.names, count_pixels(self.mask, len(self.labels)).tolist(), strict=True))

    def overlay(self, alpha: float = ALPHA, *, outlines: bool = False, legend: bool = True) -> Pixels:
        """Draw the classes over the image, except the background of the label map.

        Args:
            alpha: strength of the colours, 0 (none) to 1 (only colours).
            outlines: whether to draw the outlines of regions in the full colour.
            legend: whether to add a strip with the names of the classes below the image.

        Returns:
            RGB image, (H, W, 3) uint8, plus the height of the legend.
        """
        picture = blend(displayable(self.image), self.mask, self.labels, alpha=alpha, outlines=outlines)
        if not legend:
            return picture
        return add_legend(picture, present_classes(self.mask, len(self.labels)), self.labels)

    def save(self, path: PathArgument, values: MaskValues = "index") -> Path:
        """Write the mask, completely or not at all, and return the path; arguments and errors as in `save_mask`."""
        save_mask(self.mask, self.labels, path, values)
        return Path(path)

    def _repr_html_(self) -> str:
        """Return the overlay with its legend as an image of at most 1024 pixels."""
        picture = Image.fromarray(self.overlay())
        picture.thumbnail((SHOWN, SHOWN))
        file = BytesIO()
        picture.save(file, format="PNG")
        text = base64.b64encode(file.getvalue()).decode("ascii")
        return f'<img alt="overlay" src="data:image/png;base64,{text}">'


@dataclass(frozen=True, eq=False)
class Failure:
    """An input without prediction: its path and a one-line error."""

    path: Path
    error: XsegError


def count_pixels(mask: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return the number of pixels of each class in a mask, (H, W) train ids or (H, W, classes) of 0 and 1.

    Other values, such as "no data", are not counted.
    """
    if mask.ndim == 3:
        return np.array(np.count_nonzero(mask == 1, axis=(0, 1)), np.int64)
    return np.bincount(mask.ravel(), minlength=classes)[:classes].astype(np.int64)


def present_classes(mask: NDArray[Any], classes: int) -> list[int]:
    """Return the train ids of the classes in a mask."""
    return np.flatnonzero(count_pixels(mask, classes)).tolist()


def save_mask(mask: NDArray[Any], labels: LabelMap, path: PathArgument, values: MaskValues = "index") -> None:
    """Write a mask atomically.

    Train ids ("index") up to 255 become an indexed PNG with the label map's palette, others 16-bit grey. For other
    values see `value_table`; they become grey or RGB. Overlapping classes become a TIFF with one page per class, of 0
    and 1 and with the name of the class.

    Raises:
        ConfigError: if the values do not fit the classes, or the mask is of overlapping classes, and the file not a
            TIFF.
        OSError: if the file cannot be written.
    """
    if values != "index":
        table = value_table(labels, values)
        mask = encoded(mask, table if table.ndim == 1 else table[:, :3])
    elif mask.ndim == 3:
        _save_pages(mask, labels, Path(path))
        return
    picture = Image.fromarray(mask)
    if values == "index" and mask.dtype == np.uint8:
        picture.putpalette(labels.palette())
    with atomic_path(path) as temporary:
        # Masks are flat: a higher level hardly compresses more, and takes as long as decoding an image
        picture.save(temporary, format="PNG", compress_level=1)


def _save_pages(mask: NDArray[Any], labels: LabelMap, path: Path) -> None:
    """Write a page per class; tifffile, OpenCV's imreadmulti, Pillow, ImageJ and GDAL read pages."""
    import tifffile  # slow to import, and rarely needed

    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{path} for a mask of overlapping classes", expected="a name that ends in .tif")
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary) as file:
        for name, page in zip(labels.names, np.moveaxis(mask, -1, 0), strict=True):
            tags = [(_PAGE_NAME, "s", 0, name.encode(), True)]
            file.write(page, photometric="minisblack", compression="zlib", extratags=tags, metadata=None)


def read_mask(path: PathArgument, table: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return a mask that `save_mask` wrote, (H, W) train ids or (H, W, classes) of 0 and 1.

    Other values than train ids are read with their table from `value_table`.
    """
    if Path(path).suffix == ".png":
        pixels = np.asarray(Image.open(path))
        return pixels if table is None else decoded(pixels, table)
    import tifffile

    with tifffile.TiffFile(path) as file:
        return np.stack([page.asarray() for page in file.pages], axis=-1)


def save_image(image: Pixels, path: PathArgument) -> None:
    """Write an RGB image, (H, W, 3) uint8, atomically, in the format of the suffix.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=92)
