"""Overlays: classes drawn over the source."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from xseg.errors import ConfigError
from xseg.predict.options import Medium
from xseg.predict.outputs.output import Output, RasterPrediction, VideoStream, WriteFrame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xseg.inference.prediction import Prediction

LEGEND_CLASSES = 40  # with more classes, the legend would be larger than the image
CODEC = "mp4v"  # codec for .mp4 in every build of OpenCV
DISK_RESERVE = 1 << 24  # bytes; a disk with less free space counts as full


@dataclass(frozen=True)
class Overlay(Output):
    """Classes drawn over the source, with a legend; for a video, a video of overlays, which is always written.

    Args:
        alpha: strength of the tint of overlays, 0 (none) to 1 (only colour).
        outlines: whether overlays show the outlines of regions in the full colour; with alpha 0 only these.

    Raises:
        ConfigError: if alpha is out of range.
    """

    description: ClassVar[str] = "also write overlays/NAME.jpg: classes drawn over the image, with a legend"
    folder: ClassVar[str] = "overlays"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".jpg", "raster": ".jpg", "video": ".mp4"}
    overlapping: ClassVar[bool] = True
    always: ClassVar[frozenset[Medium]] = frozenset({"video"})

    alpha: float = 0.5
    outlines: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha={self.alpha}", expected="0 to 1")

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write a JPEG at the size of the image, with a legend below."""
        from xseg.inference.prediction import save_image

        save_image(prediction.overlay(self.alpha, outlines=self.outlines), path)

    def write_raster(self, raster: RasterPrediction, path: Path) -> None:
        """Write a JPEG of a reduced copy of the raster."""
        self.write_image(reduced_prediction(raster), path)

    @contextmanager
    def stream_video(self, video: VideoStream, path: Path) -> Iterator[WriteFrame]:
        """Write a video; the legend lists all classes, so that all frames have the same size.

        Raises:
            OSError: if frames are missing in the file, as OpenCV does not report a full disk.
        """
        import cv2

        from xseg.images.overlay import add_legend, blend

        output: Any = None
        count = 0

        def write(image: NDArray[Any], mask: NDArray[Any]) -> None:
            nonlocal output, count
            picture = blend(image, mask, video.labels, alpha=self.alpha, outlines=self.outlines)
            if len(video.labels) <= LEGEND_CLASSES:
                picture = add_legend(picture, list(range(len(video.labels))), video.labels)
            if output is None:
                height, width = picture.shape[:2]
                output = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODEC), video.rate, (width, height))
                if not output.isOpened():
                    raise OSError(f"the overlays of {video.path} cannot be written as a video")
            output.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield write
        finally:
            if output is not None:
                output.release()
        _check_written(path, video.path, count)


def reduced_prediction(raster: RasterPrediction, *, side: int = 2048) -> Prediction:
    """Return a reduced copy of a raster and its complete mask, whose longest side has at most `side` pixels."""
    import numpy as np

    from xseg.inference.prediction import Prediction
    from xseg.predict.geotiff import geo_environment, open_geotiff

    with geo_environment(f"an overlay of {raster.path}"):
        from rasterio.enums import Resampling

        with open_geotiff(raster.mask) as dataset:
            shrink = max(1.0, max(dataset.height, dataset.width) / side)
            size = (max(1, round(dataset.height / shrink)), max(1, round(dataset.width / shrink)))
            mask = dataset.read(out_shape=(dataset.count, *size), resampling=Resampling.nearest)
            mask = np.moveaxis(mask, 0, -1) if raster.labels.overlapping else mask[0]
        with open_geotiff(raster.path) as dataset:
            bands = dataset.read(out_shape=(dataset.count, *size), resampling=Resampling.average)
    return Prediction(mask, np.moveaxis(bands, 0, -1), raster.labels)


def _check_written(file: Path, source: Path, count: int) -> None:
    """Raise if frames are missing."""
    import cv2

    written = cv2.VideoCapture(str(file))
    there = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
    written.release()
    if there == count:
        return
    if shutil.disk_usage(file.parent).free < DISK_RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.parent))
    raise OSError(f"the overlays of {source} were written with {there} of {count} frames")
