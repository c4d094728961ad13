"""Base class of outputs. It and its subclasses import heavy packages only when needed, as `--help` imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from xseg.predict.options import Medium

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from xseg.inference.accumulator import Region
    from xseg.inference.prediction import Prediction
    from xseg.labels.label_map import LabelMap
    from xseg.predict.sources import Source

WriteTile: TypeAlias = "Callable[[Region, NDArray[Any]], None]"
"""Function of a rectangle of a raster and its mask; the rectangles cover the raster.

A mask is (h, w) train ids, or (h, w, classes) of 0 and 1 for overlapping classes, as for images and frames.
"""
WriteFrame: TypeAlias = "Callable[[NDArray[Any], NDArray[Any]], None]"
"""Function of a frame, (H, W, 3) uint8 RGB, and its mask; called in the order of frames."""


@dataclass(frozen=True)
class RasterPrediction:
    """A GeoTIFF with its complete mask.

    Args:
        path: path of the GeoTIFF.
        mask: path of the mask, a GeoTIFF with train ids, or a band of 0 and 1 per overlapping class, and its nodata
            value where there is no data.
        labels: label map of the train ids.
    """

    path: Path
    mask: Path
    labels: LabelMap


@dataclass(frozen=True)
class VideoStream:
    """A video, or a camera, whose path is its number, before prediction; `rate` is in frames per second."""

    path: Path
    rate: float
    labels: LabelMap


@dataclass(frozen=True)
class MaskFile:
    """A complete mask, with its size in pixels, for an output of all sources together.

    The `source` is as given by the user. `read_mask` reads the masks of images; those of rasters are GeoTIFFs.
    """

    source: str
    height: int
    width: int
    path: Path
    medium: Medium = "image"


class Output:
    """A kind of file that `predict` writes.

    A subclass names its files and overrides a method for each kind of source that it supports. If it is a dataclass,
    its fields are its options. Its methods are called in several threads.

    Each method gets a path to write to. The file gets its final name when the method returns, so that files are written
    completely or not at all; a method must not write other files.

    Attributes:
        description: help of the option for this output.
        title: name of the files in the last line of the program; the name of the folder if empty.
        folder: folder of the files below the output folder; files are FOLDER/NAME.SUFFIX with the name of the source.
        suffixes: suffix of the file for each kind of source: "image", "raster" (a GeoTIFF) or "video" (or a camera).
            Other sources are refused before the run.
        overlapping: whether it can be written for overlapping classes; otherwise these are refused before the run.
        always: kinds of sources for which the output is always written.
        needs_probabilities: whether `write_image` uses `prediction.probabilities`.
        summary: name of a file for all sources, such as "coco.json", written by `write_summary`; empty for none.
        summarized: kinds of sources in the summary.
    """

    description: ClassVar[str] = ""
    title: ClassVar[str] = ""
    folder: ClassVar[str] = ""
    suffixes: ClassVar[Mapping[Medium, str]] = {}
    overlapping: ClassVar[bool] = False
    always: ClassVar[frozenset[Medium]] = frozenset()
    needs_probabilities: ClassVar[bool] = False
    summary: ClassVar[str] = ""
    summarized: ClassVar[frozenset[Medium]] = frozenset()

    def suffix(self, medium: Medium, *, overlapping: bool) -> str:  # noqa: ARG002 - masks differ
        """Return the suffix of the file for a kind of source, and for exclusive or overlapping classes."""
        return self.suffixes[medium]

    def check(self, sources: Sequence[Source]) -> None:
        """Raise an XsegError before the run if a package is missing, or one of its sources is not supported."""

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write the output for an image: mask, image, labels, and probabilities if the output needs them."""
        raise NotImplementedError

    def write_raster(self, raster: RasterPrediction, path: Path) -> None:
        """Write the output for a GeoTIFF after its mask is complete; both may be too large to read at once."""
        raise NotImplementedError

    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> AbstractContextManager[WriteTile]:
        """Return a context that writes the output for a GeoTIFF during prediction, instead of `write_raster`.

        `like` is the open source, for its size and georeferencing.
        """
        raise NotImplementedError

    def stream_video(self, video: VideoStream, path: Path) -> AbstractContextManager[WriteFrame]:
        """Return a context that writes the output for a video, frame by frame."""
        raise NotImplementedError

    def write_summary(self, masks: Iterable[MaskFile], labels: LabelMap, path: Path) -> None:
        """Write the file for all sources, whose masks come in their order; a mask may go when the next one is taken."""
        raise NotImplementedError

    @classmethod
    def supported(cls) -> frozenset[Medium]:
        """Return the supported kinds of sources."""
        return frozenset(cls.suffixes) | cls.summarized

    def overrides(self, method: str) -> bool:
        """Return whether a subclass implements a method of this class."""
        return getattr(type(self), method) is not getattr(Output, method)
