"""Probabilities of all classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from xseg.predict.options import Medium
from xseg.predict.outputs.output import Output, WriteTile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from xseg.inference.accumulator import Region
    from xseg.inference.prediction import Prediction
    from xseg.labels.label_map import LabelMap


class Probabilities(Output):
    """Probabilities of all classes: a NumPy archive for an image, one band per class for a GeoTIFF."""

    description: ClassVar[str] = (
        "also write probabilities/NAME.npz: float16 of shape (classes, height, width); NAME.tif for a GeoTIFF"
    )
    folder: ClassVar[str] = "probabilities"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".npz", "raster": ".tif"}
    overlapping: ClassVar[bool] = True
    needs_probabilities: ClassVar[bool] = True

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write float16 of shape (classes, H, W) under the key "probabilities"."""
        import numpy as np

        if prediction.probabilities is None:
            raise ValueError("a prediction without probabilities")
        np.savez_compressed(path, probabilities=prediction.probabilities.astype(np.float16))

    @contextmanager
    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> Iterator[WriteTile]:
        """Write float32 with one band per class, and NaN where the source has no data."""
        from xseg.predict.geotiff import create_like, write_window

        with create_like(path, like, count=len(labels), dtype="float32", nodata=float("nan")) as dataset:

            def write(region: Region, mask: NDArray[Any]) -> None:  # noqa: ARG001 - the interface of all outputs
                write_window(dataset, region.scores(float("nan")), region.rows, region.columns)

            yield write
