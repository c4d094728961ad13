"""Prediction for GeoTIFFs of any size, which are read, predicted and written by windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.errors import XsegError
from xseg.files.atomic import atomic_path
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import Region, stream_regions
from xseg.inference.memory import choose_tiling
from xseg.inference.options import InferenceOptions
from xseg.inference.prediction import Failure, count_pixels
from xseg.inference.tiling import TilePlan, Tiling
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment, mask_type
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import Output, RasterPrediction, WriteTile
from xseg.predict.raster_reader import open_raster
from xseg.predict.sources import Source
from xseg.predict.table import PredictionRow
from xseg.predict.writer import OutputError, PredictionWriter, blaming, blaming_stream, failed_row
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from xseg.inference.predictor import Predictor

StreamRaster: TypeAlias = "Callable[[DatasetReader, LabelMap, Path], AbstractContextManager[WriteTile]]"
"""Function that returns a context for writing a file: see `Output.stream_raster`."""
MASK = Mask()
NOTHING: Mapping[Path, StreamRaster] = MappingProxyType({})


class TilePredictor(Protocol):
    """Interface of a predictor for tiles."""

    labels: LabelMap
    normalization: Normalization
    model: nn.Module
    decision: Decision

    def run(self, images: NDArray[Any]) -> Tensor:
        """Return the probabilities (N, classes, h, w) float32 of pixels (N, h, w, C)."""


@dataclass(frozen=True)
class RasterSummary:
    """Summary of a predicted raster: sizes in pixels, and the time from opening to the finished file.

    The `pixels` are counted per class name, for all classes, and the `tiles` include those without data.
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
    options: InferenceOptions | None = None,
    *,
    streams: Mapping[Path, StreamRaster] = NOTHING,
    output: Mask = MASK,
    show: ShowProgress = NO_PROGRESS,
) -> RasterSummary:
    """Predict a GeoTIFF and write its mask as a GeoTIFF, with memory that does not depend on its size.

    The mask holds train ids, the coordinate system and transform of the source, class colours, overviews, and `nodata`
    where the source has no data. Files are written completely or not at all: the mask by its `output`, and further ones
    by the `streams` of their paths, tile by tile. Of the options, scales only count for the memory.

    Raises:
        ConfigError: if tile and overlap do not fit together.
        DataError: if the source cannot be read or does not fit the model.
        MissingExtraError: if rasterio is not installed.
        OSError: if a file cannot be written.
    """
    start = time.perf_counter()
    options = options or InferenceOptions()
    with geo_environment(f"{source}, a GeoTIFF,"), open_raster(source, predictor.normalization) as reader:
        tiling = choose_tiling(
            predictor.model,
            *reader.dataset.shape,
            channels=predictor.normalization.channels,
            tile=options.tile,
            overlap=options.overlap,
            scale=max(options.scales),
            batch_size=options.batch_size,
        )
        plan = TilePlan.fit(*reader.dataset.shape, tile=tiling.tile, overlap=tiling.overlap)
        counts = np.zeros(len(predictor.labels), np.int64)
        regions = stream_regions(
            predictor.run,
            reader.read,
            plan,
            classes=len(counts),
            batch_size=options.batch_size,
            device=next(predictor.model.parameters()).device,
            decision=predictor.decision,
        )
        with (
            closing(regions),
            _written(reader.dataset, predictor.labels, Path(destination), streams, output) as write,
            show(f"predict {Path(source).name}", plan.count, unit="tiles") as progress,
        ):
            nodata = 0
            for region in regions:
                counts += write(region)
                nodata += 0 if region.valid is None else int(np.count_nonzero(~region.valid))
                progress.advance()
    pixels = dict(zip(predictor.labels.names, counts.tolist(), strict=True))
    seconds = time.perf_counter() - start
    return RasterSummary(plan.height, plan.width, pixels, nodata, tiling, plan.count, seconds)


@contextmanager
def _written(
    like: DatasetReader, labels: LabelMap, mask: Path, streams: Mapping[Path, StreamRaster], output: Mask
) -> Iterator[Callable[[Region], NDArray[np.int64]]]:
    """Create the files, and yield a function that writes a region to them and counts its pixels per class."""
    kind, nodata = mask_type(labels)
    with ExitStack() as stack:
        # The mask is opened first, so that it is finished last: if it exists, so do the others
        files = {path: stack.enter_context(atomic_path(path)) for path in (mask, *streams)}
        writers = [stack.enter_context(stream(like, labels, files[path])) for path, stream in streams.items()]
        writers.append(stack.enter_context(output.stream_raster(like, labels, files[mask])))

        def write(region: Region) -> NDArray[np.int64]:
            values = region.labels(nodata).astype(kind, copy=False)
            for write_region in writers:
                write_region(region, values)
            return count_pixels(values, len(labels))

        yield write


def predict_raster_source(
    predictor: Predictor, source: Source, writer: PredictionWriter, show: ShowProgress
) -> PredictionRow:
    """Predict a raster by windows, write its outputs, and return its row, which says if it cannot be read.

    Raises:
        OutputError: if a user's own output fails.
        OSError: if a file cannot be written.
    """
    start = time.perf_counter()
    mask = writer.file(writer.mask, source)
    others = [output for output in writer.wanted("raster") if not isinstance(output, Mask)]

    def stream(output: Output, *place: Any) -> AbstractContextManager[WriteTile]:
        """Open an output, whose errors name it and the source."""
        return blaming_stream(output.stream_raster(*place), output, source)

    streamed = [output for output in others if output.overrides("stream_raster")]
    streams = {writer.file(output, source): partial(stream, output) for output in streamed}
    try:
        summary = predict_raster(
            predictor, source.path, mask, predictor.options, streams=streams, output=writer.mask, show=show
        )
    except OutputError:
        raise
    except XsegError as error:
        return failed_row(source, Failure(source.path, error))
    rest = {writer.file(output, source): output for output in others if output not in streamed}
    with writer.mask.ids_file(mask, predictor.labels) if rest else nullcontext(mask) as ids:
        for path, output in rest.items():
            with blaming(output, source), atomic_path(path) as temporary:
                output.write_raster(RasterPrediction(source.path, ids, predictor.labels), temporary)
    return writer.row(source, summary.height, summary.width, time.perf_counter() - start, summary.pixels)
