"""Running a model on images: one, a batch, or a stream of files."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.bundles.bundle import Bundle, load_bundle
from xseg.bundles.locate import locate_bundle
from xseg.errors import DataError, ShapeError, XsegError
from xseg.files.description import described_by
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import tiled_labels, tiled_probabilities
from xseg.inference.averaging import averaged_probabilities, compute_scores
from xseg.inference.backends.protocol import Backend
from xseg.inference.backends.selection import create_backend
from xseg.inference.device import select_device
from xseg.inference.memory import choose_tiling
from xseg.inference.options import BackendOption, InferenceOptions, PrecisionOption
from xseg.inference.pipeline import Computed, Computer, Decoded, Request, in_order, run_pipeline
from xseg.inference.prediction import Failure, Prediction
from xseg.inference.preprocessing import ImageArgument, to_array, to_batch
from xseg.inference.scores import Tiled
from xseg.inference.tiling import TileOption, TilePlan
from xseg.labels.label_map import LabelMap
from xseg.models.architectures import ArchitectureArgument, resolve_architecture
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import OutputStride, PathArgument

SMALL_PIXELS = 1 << 20  # images up to this size go through whole without asking for the free memory


class Predictor:
    """A model with what it needs to be used on images: labels, normalisation, device, and how it is run.

    The weights are taken over at the first prediction, where a backend converts them; what is changed in the model
    afterwards may not be seen.

    Args:
        model: maps normalised images (N, C, H, W) to logits (N, classes, H, W). It is put into evaluation mode, on
            the device and into channels_last layout, in place.
        labels: what the model's outputs mean.
        normalization: how pixel values become the model's input.
        options: how it is run.

    Raises:
        ConfigError: if the device is not there.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        labels: LabelMap,
        normalization: Normalization,
        options: InferenceOptions | None = None,
    ) -> None:
        self.labels = labels
        self.normalization = normalization
        self.options = options or InferenceOptions()
        self.device = select_device(self.options.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._network = CoarseNetwork(self.model)
        self._backend: Backend | None = None
        self._creating = threading.Lock()

    @classmethod
    def from_bundle(cls, bundle: Bundle[SegmentationModel], options: InferenceOptions | None = None) -> Self:
        """Return a predictor for a bundle; another output stride shares the weights.

        Args:
            bundle: model, labels and normalisation.
            options: how the model is run.

        Raises:
            ConfigError: if the device is not there.
        """
        options = options or InferenceOptions()
        model, output_stride = bundle.model, options.output_stride
        if output_stride is not None and output_stride != model.config.output_stride:
            model = model.with_output_stride(output_stride)
        return cls(model, labels=bundle.labels, normalization=bundle.normalization, options=options)

    def with_averaging(self, *, scales: Sequence[float], flip: bool) -> Predictor:
        """Return a predictor with the same model that averages over other sizes and mirror images.

        Raises:
            ConfigError: if a scale is not above 0.
        """
        options = replace(self.options, scales=tuple(scales), flip=flip)
        other = Predictor(self.model, labels=self.labels, normalization=self.normalization, options=options)
        other._backend = self._backend  # the same network in the same precision
        return other

    @property
    def backend(self) -> Backend:
        """What computes the network; it is made when it is first asked for.

        Raises:
            ConfigError: if the backend asked for does not run here, or does not compute what torch computes.
            MissingExtraError: if a package of it is missing.
        """
        with self._creating:
            if self._backend is None:
                self._backend = create_backend(
                    self._network,
                    channels=self.normalization.channels,
                    device=self.device,
                    backend=self.options.backend,
                    precision=self.options.precision,
                )
            return self._backend

    def __call__(self, image: ImageArgument, *, probabilities: bool = True) -> Prediction:
        """Predict on one image.

        Args:
            image: a path, an (H, W, C) array with channels in RGB order, or a PIL image.
            probabilities: keep the probabilities of all classes, 4 bytes per pixel and class.

        Returns:
            The prediction, at the image's size.

        Raises:
            DataError: if a file cannot be read, or values are out of range.
            ShapeError: if the image does not have the model's number of channels.
        """
        return self._predict([self._decode(image)], probabilities)[0]

    def batch(self, images: Sequence[ImageArgument], *, probabilities: bool = False) -> list[Prediction]:
        """Predict on several images; those of one size go through the model together, `batch_size` at a time.

        Args:
            images: paths, arrays or PIL images, of any sizes.
            probabilities: keep the probabilities of all classes.

        Returns:
            One prediction per image, in order.

        Raises:
            DataError: if a file cannot be read, or values are out of range.
            ShapeError: if an image does not have the model's number of channels.
        """
        decoded = [self._decode(image) for image in images]
        order = sorted(range(len(decoded)), key=lambda index: decoded[index].array.shape)
        results: dict[int, Prediction] = {}
        for _, group in groupby(order, key=lambda index: decoded[index].array.shape):
            for indices in _chunks(list(group), self.options.batch_size):
                predictions = self._predict([decoded[index] for index in indices], probabilities)
                results.update(zip(indices, predictions, strict=True))
        return [results[index] for index in range(len(decoded))]

    def stream(self, paths: Iterable[PathArgument], *, probabilities: bool = False) -> Iterator[Prediction | Failure]:
        """Predict on files while the next ones are read and the last ones finished.

        Files of one size that are near each other go through the model together, `batch_size` at a time.

        Args:
            paths: image files.
            probabilities: keep the probabilities of all classes.

        Yields:
            A prediction per file, in order, or a failure where the file cannot be read, does not fit the model, or
            is too large for the memory.
        """
        requests = (Request(index, Path(path)) for index, path in enumerate(paths))

        def finished(_: Request, image: Decoded, computed: Computed, seconds: float) -> Prediction:
            return self.finish(image, computed, seconds=seconds, probabilities=probabilities)

        yield from in_order(run_pipeline(self.computer(probabilities=probabilities), requests, finished))

    def computer(self, *, probabilities: bool = False) -> Computer:
        """Return what a pipeline needs of this predictor.

        Args:
            probabilities: whether they will be asked of what is computed.

        Raises:
            ConfigError: if the backend asked for does not run here.
            MissingExtraError: if a package of it is missing.
        """
        return Computer(
            lambda images: self._try_compute(images, probabilities),
            self.normalization,
            self.options.batch_size,
            self.backend.workers,
        )

    def run(self, images: NDArray[Any]) -> Tensor:
        """Return the class probabilities of images of one size, averaged over scales and mirror images.

        Args:
            images: (N, H, W, C) stored values, 0 to `normalization.maximum`, channels in RGB order.

        Returns:
            (N, classes, H, W) float32 on the model's device.
        """
        batch = to_batch([*images], self.normalization, self.device)
        with torch.inference_mode():
            return averaged_probabilities(
                self.backend, self._network, batch, scales=self.options.scales, flip=self.options.flip
            )

    def finish(self, image: Decoded, computed: Computed, *, seconds: float, probabilities: bool) -> Prediction:
        """Make a prediction of what was computed of an image.

        Args:
            image: what it was computed of.
            computed: the scores of the image or of its tiles.
            seconds: time that computing took.
            probabilities: keep the probabilities of all classes.
        """
        start = time.perf_counter()
        labels = computed.labels()
        scores = computed.probabilities() if probabilities else None
        seconds += image.seconds + time.perf_counter() - start
        return Prediction(labels, image.array, self.labels, scores, image.path, seconds)

    def _try_compute(self, images: list[Decoded], probabilities: bool) -> list[Computed | Failure]:
        """Compute images of one size; one that is too large or does not fit the model is a failure."""
        try:
            return list(self._compute(images, probabilities))
        except (XsegError, RuntimeError, MemoryError) as error:
            if not isinstance(error, XsegError) and not _out_of_memory(error):
                raise
            if len(images) > 1:  # one image's fault, or too many at once: alone the others may do
                return [result for image in images for result in self._try_compute([image], probabilities)]
            failure = error if isinstance(error, XsegError) else _too_large(images[0])
            return [Failure(images[0].path or Path(), failure)]

    def _compute(self, images: Sequence[Decoded], probabilities: bool) -> Sequence[Computed]:
        """Compute images of one size: whole where the memory allows, otherwise by tiles."""
        height, width = images[0].array.shape[:2]
        plan = self._plan(height, width, len(images))
        if plan is not None:
            return [self._tiled(image.array, plan, probabilities) for image in images]
        with torch.inference_mode():
            batch = to_batch([image.array for image in images], self.normalization, self.device)
            scores = compute_scores(
                self.backend, self._network, batch, scales=self.options.scales, flip=self.options.flip
            )
        if scores[0].classes != len(self.labels):
            raise ShapeError(f"a model of {scores[0].classes} outputs", expected=f"one per class, {len(self.labels)}")
        return scores

    def _tiled(self, image: NDArray[Any], plan: TilePlan, probabilities: bool) -> Tiled:
        classes, size = len(self.labels), self.options.batch_size
        if not probabilities:
            return Tiled(tiled_labels(self.run, image, plan, classes=classes, batch_size=size))
        averaged = tiled_probabilities(self.run, image, plan, classes=classes, batch_size=size)
        labels = averaged.argmax(axis=0).astype(np.uint8 if classes <= 256 else np.uint16)
        return Tiled(labels, averaged)

    def _plan(self, height: int, width: int, count: int) -> TilePlan | None:
        """Return how images are cut, or None if they are not."""
        tile, overlap = self.options.tile, self.options.overlap
        if tile == 0 or (tile == "auto" and height * width * count <= SMALL_PIXELS):
            return None
        tiling = choose_tiling(
            self.model,
            height,
            width,
            channels=self.normalization.channels,
            tile=tile,
            overlap=overlap,
            # The images of a batch, and the batches that are computed at once, share the memory.
            scale=max(self.options.scales) * math.sqrt(count * self.backend.workers),
        )
        if tiling.tile == 0 or tiling.tile >= max(height, width):
            return None
        return TilePlan.fit(height, width, tile=tiling.tile, overlap=tiling.overlap)

    def _decode(self, image: ImageArgument) -> Decoded:
        start = time.perf_counter()
        array = to_array(image, self.normalization)
        path = Path(image) if isinstance(image, str | PathLike) else None
        return Decoded(array, path, time.perf_counter() - start)

    def _predict(self, images: Sequence[Decoded], probabilities: bool) -> list[Prediction]:
        """Predict on images of one size."""
        start = time.perf_counter()
        computed = self._compute(images, probabilities)
        seconds = (time.perf_counter() - start) / len(images)
        return [
            self.finish(image, result, seconds=seconds, probabilities=probabilities)
            for image, result in zip(images, computed, strict=True)
        ]


@described_by(InferenceOptions)
def load(
    source: PathArgument,
    *,
    device: str = InferenceOptions.device,
    precision: PrecisionOption = InferenceOptions.precision,
    scales: Sequence[float] = InferenceOptions.scales,
    flip: bool = InferenceOptions.flip,
    output_stride: OutputStride | None = InferenceOptions.output_stride,
    batch_size: int = InferenceOptions.batch_size,
    backend: BackendOption = InferenceOptions.backend,
    tile: TileOption = InferenceOptions.tile,
    overlap: int | None = InferenceOptions.overlap,
    architecture: ArchitectureArgument | None = InferenceOptions.architecture,
) -> Predictor:
    """Load a model to use it.

    The `source` is a run directory, whose best epoch is taken; a bundle directory; or a Hugging Face Hub id
    "owner/name". The other arguments are those of `xseg.inference.options.InferenceOptions`, but that `architecture`
    may be the class itself.

    Raises:
        ConfigError: if a value is out of range or the device is not there.
        WeightsError: if there is no model, or it cannot be read.
    """
    name, decoder = (None, None) if architecture is None else resolve_architecture(architecture)
    given = {**locals(), "architecture": None if decoder is None else name}
    options = InferenceOptions(**{field.name: given[field.name] for field in fields(InferenceOptions)})
    return Predictor.from_bundle(load_bundle(locate_bundle(source), architecture=architecture), options)


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a bare RuntimeError, which only its text tells from others.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _too_large(item: Decoded) -> DataError:
    height, width = item.array.shape[:2]
    return DataError(f"{item.path or 'an image'} ({height}x{width} pixels) needs more memory than there is")
