"""Masks as COCO annotations in one file for all images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from xseg.errors import DataError
from xseg.predict.options import Medium
from xseg.predict.outputs.output import MaskFile, Output

if TYPE_CHECKING:
    from xseg.labels.label_map import LabelMap
    from xseg.predict.outputs.annotations import CocoImage
    from xseg.predict.sources import Source

MAX_PIXELS = 2**32 - 1  # pixels of an image: pycocotools counts in 32 bits


class Coco(Output):
    """One file with the masks of all images as COCO annotations."""

    description: ClassVar[str] = "also write coco.json: the masks of all images as COCO annotations (RLE)"
    title: ClassVar[str] = "COCO annotations"
    summary: ClassVar[str] = "coco.json"
    overlapping: ClassVar[bool] = True
    summarized: ClassVar[frozenset[Medium]] = frozenset({"image", "raster"})

    def check(self, sources: Sequence[Source]) -> None:
        """Raise DataError if a raster has too many pixels for COCO's run lengths."""
        for source in sources:
            size = _size_of(source) if source.kind == "raster" else None
            if size and size[0] * size[1] > MAX_PIXELS:
                raise DataError(
                    f"coco: {source.place} has {size[0]}x{size[1]} pixels",
                    expected=f"{MAX_PIXELS} pixels or fewer, as pycocotools counts them in 32 bits",
                    remedy="leave out --coco, or divide the raster into parts",
                )

    def write_summary(self, masks: Iterable[MaskFile], labels: LabelMap, path: Path) -> None:
        """Write images, categories and annotations."""
        from xseg.inference.prediction import read_mask
        from xseg.predict.outputs.annotations import CocoImage, coco_annotations, write_coco

        def images() -> Iterator[CocoImage]:
            for mask in masks:
                pixels = mask.path if mask.medium == "raster" else read_mask(mask.path)
                yield CocoImage(mask.source, mask.height, mask.width, coco_annotations(pixels, labels))

        write_coco(images(), path, labels)


def _size_of(source: Source) -> tuple[int, int] | None:
    """Return height and width of a raster; None if it cannot be read, which prediction reports later."""
    from xseg.files.remote import opened_url
    from xseg.predict.geotiff import raster_size

    with suppress(OSError, DataError), source.path.open("rb") if source.url is None else opened_url(source.url) as file:
        return raster_size(file)
    return None
