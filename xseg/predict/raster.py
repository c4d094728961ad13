"""Prediction on GeoTIFFs of any size: read, predicted on and written by windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.files.atomic import atomic_path
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.images.normalization import Normalization
from xseg.images.overlay import Pixels, add_legend, blend, displayable
from xseg.inference.accumulator import Piece, stream_pieces
from xseg.inference.memory import choose_tiling
from xseg.inference.tiling import TileOption, TilePlan, Tiling, check_tiling
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import (
    RasterReader,
    add_colors,
    add_overviews,
    create_like,
    geo_environment,
    mask_type,
    open_raster,
    write_window,
)
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader, DatasetWriter


class TilePredictor(Protocol):
    """What predicts on tiles: a predictor."""

    labels: LabelMap
    normalization: Normalization
    model: nn.Module

    def run(self, images: NDArray[Any]) -> Tensor:
        """Map pixels (N, h, w, C) to probabilities (N, classes, h, w) float32, which add up to 1."""
        ...


@dataclass(frozen=True)
class RasterOptions:
    """How a raster is cut.

    Args:
        tile: "auto" (by the free memory), 0 (the whole raster at once) or the side of a tile in pixels.
        overlap: pixels that neighbours share at least; None for what the model's receptive field asks for.
        batch_size: tiles that go through the model together.
        scale: the largest size at which the model runs, for the memory that it takes.

    Raises:
        ConfigError: if a value is out of range.
    """

    tile: TileOption = "auto"
    overlap: int | None = None
    batch_size: int = 1
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_tiling(self.tile, self.overlap)
        if self.batch_size < 1:
            raise ConfigError(f"batch_size={self.batch_size}", expected="1 or more")


@dataclass(frozen=True)
class RasterSummary:
    """What became of a raster.

    Args:
        height: in pixels.
        width: in pixels.
        pixels: number of pixels per class name, of every class.
        nodata: number of pixels without data.
        tiling: how it was cut.
        tiles: number of tiles, those without data too.
        seconds: from opening to the finished file.
    """

    height: int
    width: int
    pixels: dict[str, int]
    nodata: int
    tiling: Tiling
    tiles: int
    seconds: float


def predict_raster(
    predictor: TilePredictor,
    source: PathArgument,
    destination: PathArgument,
    options: RasterOptions | None = None,
    *,
    probabilities: PathArgument | None = None,
    show: ShowProgress = NO_PROGRESS,
) -> RasterSummary:
    """Predict on a GeoTIFF and write its mask as a GeoTIFF, in memory that does not depend on its size.

    The mask has train ids, the source's coordinate system and transform, the classes' colours, `nodata` where the
    source has no data, and overviews. Files appear whole or not at all.

    Args:
        predictor: runs on tiles.
        source: a GeoTIFF; see `open_raster`.
        destination: the mask's file.
        options: how it is cut.
        probabilities: a second file, float32, with a band per class; NaN where the source has no data.
        show: shows the progress, in tiles.

    Returns:
        Counts and times.

    Raises:
        ConfigError: if tile and overlap do not go together.
        DataError: if the source cannot be read or does not fit the model.
        MissingExtraError: if rasterio is not installed.
        OSError: if a file cannot be written.
    """
    start = time.perf_counter()
    options = options or RasterOptions()
    with geo_environment(f"{source}, a GeoTIFF,"), open_raster(source, predictor.normalization) as reader:
        tiling = _choose(predictor, reader, options)
        plan = TilePlan.fit(reader.height, reader.width, tile=tiling.tile, overlap=tiling.overlap)
        counts = np.zeros(len(predictor.labels), np.int64)
        with (
            closing(_pieces(predictor, reader, plan, options.batch_size)) as pieces,
            _outputs(reader.dataset, predictor.labels, Path(destination), probabilities) as write,
            show(f"predict {Path(source).name}", plan.count, unit="tiles") as progress,
        ):
            for piece in pieces:
                counts += write(piece)
                progress.advance()
    pixels = dict(zip(predictor.labels.names, counts.tolist(), strict=True))
    nodata = plan.height * plan.width - sum(pixels.values())
    seconds = time.perf_counter() - start
    return RasterSummary(plan.height, plan.width, pixels, nodata, tiling, plan.count, seconds)


def _choose(predictor: TilePredictor, reader: RasterReader, options: RasterOptions) -> Tiling:
    return choose_tiling(
        predictor.model,
        reader.height,
        reader.width,
        channels=predictor.normalization.channels,
        tile=options.tile,
        overlap=options.overlap,
        scale=options.scale,
        batch_size=options.batch_size,
    )


def _pieces(
    predictor: TilePredictor, reader: RasterReader, plan: TilePlan, batch_size: int
) -> Generator[Piece, None, None]:
    return stream_pieces(
        predictor.run,
        reader.read,
        plan,
        classes=len(predictor.labels),
        batch_size=batch_size,
        device=next(predictor.model.parameters()).device,
    )


@contextmanager
def _outputs(
    like: DatasetReader, labels: LabelMap, mask: Path, probabilities: PathArgument | None
) -> Iterator[Callable[[Piece], NDArray[np.int64]]]:
    """Create the files; give a function that writes a piece to them and counts its pixels per class."""
    kind, nodata = mask_type(labels)
    with ExitStack() as stack:
        # The mask last: where it is, the rest is too
        mask_file = stack.enter_context(atomic_path(mask))
        scores: DatasetWriter | None = None
        if probabilities is not None:
            file = stack.enter_context(atomic_path(probabilities))
            scores = stack.enter_context(
                create_like(file, like, count=len(labels), dtype="float32", nodata=float("nan"))
            )
        with create_like(mask_file, like, count=1, dtype=kind, nodata=nodata) as dataset:
            add_colors(dataset, labels)

            def write(piece: Piece) -> NDArray[np.int64]:
                values = piece.labels(nodata).astype(kind, copy=False)
                write_window(dataset, values, piece.rows, piece.columns)
                if scores is not None:
                    write_window(scores, piece.scores(np.nan), piece.rows, piece.columns)
                return np.bincount(values.ravel(), minlength=nodata + 1)[: len(labels)]

            yield write
        add_overviews(mask_file)


def raster_overlay(source: PathArgument, mask: PathArgument, labels: LabelMap, *, side: int = 2048) -> Pixels:
    """Draw the classes over a reduced copy of a raster, with a legend.

    Args:
        source: the raster that was predicted on.
        mask: its mask, as `predict_raster` wrote it.
        labels: names and colours of the classes.
        side: of the picture without the legend, at most, in pixels.

    Returns:
        (h + legend, w, 3) uint8.

    Raises:
        MissingExtraError: if rasterio is not installed.
    """
    with geo_environment(f"an overlay of {source}"):
        import rasterio
        from rasterio.enums import Resampling

        with rasterio.open(mask, driver="GTiff") as dataset:
            shrink = max(1.0, max(dataset.height, dataset.width) / side)
            size = (max(1, round(dataset.height / shrink)), max(1, round(dataset.width / shrink)))
            small_mask = dataset.read(1, out_shape=size, resampling=Resampling.nearest)
        with rasterio.open(source, driver="GTiff") as dataset:
            bands = dataset.read(out_shape=(dataset.count, *size), resampling=Resampling.average)
    picture = blend(displayable(np.moveaxis(bands, 0, -1)), small_mask, labels)
    present = [index for index in np.unique(small_mask).tolist() if index < len(labels)]
    return add_legend(picture, present, labels)
