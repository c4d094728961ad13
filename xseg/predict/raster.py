"""Prediction on GeoTIFFs of any size: read, predicted on and written by windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.errors import ConfigError, XsegError
from xseg.files.atomic import atomic_path
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import Region, stream_regions
from xseg.inference.memory import choose_tiling
from xseg.inference.prediction import Failure
from xseg.inference.tiling import TileOption, TilePlan, Tiling, check_tiling
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment, mask_type
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import Output, RasterPrediction, WriteTile
from xseg.predict.raster_reader import RasterReader, open_raster
from xseg.predict.sources import Source
from xseg.predict.table import Row
from xseg.predict.writer import OutputError, PredictionWriter, blaming, blaming_stream, failed_row
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from xseg.inference.predictor import Predictor

StreamRaster: TypeAlias = "Callable[[DatasetReader, LabelMap, Path], AbstractContextManager[WriteTile]]"
"""Begins to write a file of a raster: see `Output.stream_raster`."""
NOTHING: Mapping[Path, StreamRaster] = MappingProxyType({})


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
    streams: Mapping[Path, StreamRaster] = NOTHING,
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
        streams: what else is written tile by tile, by its file.
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
            closing(_regions(predictor, reader, plan, options.batch_size)) as regions,
            _written(reader.dataset, predictor.labels, Path(destination), streams) as write,
            show(f"predict {Path(source).name}", plan.count, unit="tiles") as progress,
        ):
            for region in regions:
                counts += write(region)
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


def _regions(
    predictor: TilePredictor, reader: RasterReader, plan: TilePlan, batch_size: int
) -> Generator[Region, None, None]:
    return stream_regions(
        predictor.run,
        reader.read,
        plan,
        classes=len(predictor.labels),
        batch_size=batch_size,
        device=next(predictor.model.parameters()).device,
    )


@contextmanager
def _written(
    like: DatasetReader, labels: LabelMap, mask: Path, streams: Mapping[Path, StreamRaster]
) -> Iterator[Callable[[Region], NDArray[np.int64]]]:
    """Create the files; give a function that writes a region to them and counts its pixels per class."""
    kind, nodata = mask_type(labels)
    with ExitStack() as stack:
        # The mask's file first, so that it appears last: where it is, the rest is too
        files = {path: stack.enter_context(atomic_path(path)) for path in (mask, *streams)}
        writers = [stack.enter_context(stream(like, labels, files[path])) for path, stream in streams.items()]
        writers.append(stack.enter_context(Mask().stream_raster(like, labels, files[mask])))

        def write(region: Region) -> NDArray[np.int64]:
            values = region.labels(nodata).astype(kind, copy=False)
            for write_region in writers:
                write_region(region, values)
            return np.bincount(values.ravel(), minlength=nodata + 1)[: len(labels)]

        yield write


def _stream(
    output: Output, source: Source, like: DatasetReader, labels: LabelMap, path: Path
) -> AbstractContextManager[WriteTile]:
    return blaming_stream(output.stream_raster(like, labels, path), output, source)


def predict_raster_source(predictor: Predictor, source: Source, writer: PredictionWriter, show: ShowProgress) -> Row:
    """Predict on a raster by windows, and write what is wanted for it.

    Returns:
        The row of the table; failed if the raster cannot be read.

    Raises:
        OutputError: if a user's own output fails.
        OSError: if a file cannot be written.
    """
    options, start = predictor.options, time.perf_counter()
    mask = writer.file(Mask(), source)
    others = [output for output in writer.wanted("raster") if not isinstance(output, Mask)]
    streams = {
        writer.file(output, source): partial(_stream, output, source)
        for output in others
        if output.overrides("stream_raster")
    }
    cut = RasterOptions(options.tile, options.overlap, options.batch_size, max(options.scales))
    try:
        summary = predict_raster(predictor, source.path, mask, cut, streams=streams, show=show)
    except OutputError:
        raise
    except XsegError as error:
        return failed_row(source, Failure(source.path, error))
    for output in others:
        path = writer.file(output, source)
        if path not in streams:
            with blaming(output, source), atomic_path(path) as beside:
                output.write_raster(RasterPrediction(source.path, mask, predictor.labels), beside)
    return writer.row(source, summary.height, summary.width, time.perf_counter() - start, summary.pixels)
