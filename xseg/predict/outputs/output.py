"""What a kind of output has to offer. This and the kinds import what is heavy when it is needed: help lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from xseg.inference.accumulator import Region
    from xseg.inference.prediction import Prediction
    from xseg.labels.label_map import LabelMap
    from xseg.predict.sources import Source

Medium: TypeAlias = Literal["image", "raster", "video"]
"""A kind of source that is written alike: a camera is a video."""
WriteTile: TypeAlias = "Callable[[Region, NDArray[Any]], None]"
"""Takes a rectangle of a raster and its mask, (h, w) train ids; together the rectangles cover the raster."""
WriteFrame: TypeAlias = "Callable[[NDArray[Any], NDArray[Any]], None]"
"""Takes a frame, (H, W, 3) uint8 RGB, and its mask, (H, W) train ids; the frames come in order."""


@dataclass(frozen=True)
class RasterPrediction:
    """A GeoTIFF whose mask is complete.

    Args:
        path: the GeoTIFF that was predicted on.
        mask: the GeoTIFF of its mask: train ids, and the file's nodata value where there is no data.
        labels: meaning of the train ids.
    """

    path: Path
    mask: Path
    labels: LabelMap


@dataclass(frozen=True)
class VideoStream:
    """A video or a camera that is about to be predicted on.

    Args:
        path: the video's file, or the camera's number.
        rate: frames per second.
        labels: meaning of the train ids.
    """

    path: Path
    rate: float
    labels: LabelMap


@dataclass(frozen=True)
class MaskFile:
    """A mask that is complete, for an output of all sources together.

    Args:
        source: what it was predicted on, as the user named it.
        height: height of the mask in pixels.
        width: width of the mask in pixels.
        path: PNG of train ids, or a GeoTIFF of them.
    """

    source: str
    height: int
    width: int
    path: Path


class Output:
    """A kind of file that `predict` writes.

    A subclass says what its files are called and overrides a method for each kind of source that it supports. If it is
    a dataclass, its fields are its options. Its methods are called from several threads.

    Each method gets a path to write to. The file gets its final name when the method returns, so that files appear
    whole or not at all; a method may only write this one file.

    Attributes:
        description: help of the option that asks for the output.
        title: what the program's last line calls the files; the folder's name if empty.
        folder: folder of the files below the output folder. NAME is the source's: FOLDER/NAME.SUFFIX.
        suffixes: suffix of the file for each kind of source: "image", "raster" (a GeoTIFF) or "video" (or a camera).
            Sources of other kinds are refused before the work starts.
        always: kinds of sources for which the output is written without being asked for.
        needs_probabilities: whether `write_image` uses `prediction.probabilities`.
        summary: name of one file for all sources, as "coco.json", made by `write_summary`; empty for none.
        summarized: kinds of sources that the summary takes.
    """

    description: ClassVar[str] = ""
    title: ClassVar[str] = ""
    folder: ClassVar[str] = ""
    suffixes: ClassVar[Mapping[Medium, str]] = {}
    always: ClassVar[frozenset[Medium]] = frozenset()
    needs_probabilities: ClassVar[bool] = False
    summary: ClassVar[str] = ""
    summarized: ClassVar[frozenset[Medium]] = frozenset()

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse what cannot be written, before the work starts.

        Args:
            sources: all that will be predicted on.

        Raises:
            XsegError: if a package is missing, or a source is not possible.
        """

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write what is wanted for an image.

        Args:
            prediction: mask, image, labels, and probabilities if the output needs them.
            path: file to write.
        """
        raise NotImplementedError

    def write_raster(self, raster: RasterPrediction, path: Path) -> None:
        """Write what is wanted for a GeoTIFF, when its mask is complete.

        Args:
            raster: source and mask, both too large to be read at once.
            path: file to write.
        """
        raise NotImplementedError

    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> AbstractContextManager[WriteTile]:
        """Return a context that writes a GeoTIFF while it is predicted on, instead of `write_raster`.

        Args:
            like: the open source, for its size and its place on Earth.
            labels: meaning of the train ids.
            path: file to write.
        """
        raise NotImplementedError

    def stream_video(self, video: VideoStream, path: Path) -> AbstractContextManager[WriteFrame]:
        """Return a context that writes a video's frames as they come.

        Args:
            video: source, frame rate and labels.
            path: file to write.
        """
        raise NotImplementedError

    def write_summary(self, masks: Iterable[MaskFile], labels: LabelMap, path: Path) -> None:
        """Write the one file for all sources.

        Args:
            masks: the masks in the order of the sources; a file may be gone when the next one is taken.
            labels: meaning of the train ids.
            path: file to write.
        """
        raise NotImplementedError

    @classmethod
    def supported(cls) -> frozenset[Medium]:
        """Return the kinds of sources that the output is written for."""
        return frozenset(cls.suffixes) | cls.summarized

    def overrides(self, method: str) -> bool:
        """Return whether a subclass implements a method of this class."""
        return getattr(type(self), method) is not getattr(Output, method)
