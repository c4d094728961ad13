"""Predictor: runs a model on an image, a batch, or a stream of files."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.bundles.bundle import Bundle
from xseg.errors import DataError, ShapeError, XsegError
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import tiled
from xseg.inference.averaging import averaged_probabilities, compute_scores
from xseg.inference.backends import Backend, create_backend, select_device
from xseg.inference.memory import choose_tiling
from xseg.inference.options import InferenceOptions
from xseg.inference.pipeline import Computed, Computer, Decoded, Request, in_order, run_pipeline
from xseg.inference.prediction import Failure, Prediction
from xseg.inference.prefetch import batches
from xseg.inference.preprocessing import ImageArgument, to_array, to_batch
from xseg.inference.scores import WholeImage
from xseg.inference.tiling import TilePlan
from xseg.labels.decision import PLAIN, Decision
from xseg.labels.label_map import LabelMap
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import PathArgument

SMALL_PIXELS = 1 << 20  # images up to this size are predicted whole without checking the free memory


class Predictor:
    """Runs a model on images, with its labels, normalisation and options.

    A backend may convert the weights at the first prediction; later changes to the model may have no effect.

    Args:
        model: module from normalised images (N, C, H, W) to logits (N, classes, H, W). It is put into evaluation mode
            and channels_last layout and moved to the device, in place.
        labels: label map of the model's outputs.
        normalization: normalisation of the model's input.
        options: inference options.
        decision: rule for probabilities and labels, whose thresholds those of the options replace.

    Raises:
        ConfigError: if the device or the background does not exist, or a threshold does not fit the model.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        labels: LabelMap,
        normalization: Normalization,
        options: InferenceOptions | None = None,
        decision: Decision = PLAIN,
    ) -> None:
        self.normalization = normalization
        self.options = options or InferenceOptions()
        overlapping = labels.overlapping or decision.overlapping
        background = labels.background if self.options.background is None else self.options.background
        self.labels = replace(labels, overlapping=overlapping, background=background)
        self.decision = replace(decision, overlapping=overlapping).requested(self.options.threshold, labels)
        self.device = select_device(self.options.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self._network = CoarseNetwork(self.model)
        self._backend: Backend | None = None
        self._creating = threading.Lock()

    @classmethod
    def from_bundle(cls, bundle: Bundle[SegmentationModel], options: InferenceOptions | None = None) -> Self:
        """Return a predictor for a bundle; another output stride shares the weights. Errors as in `Predictor`."""
        options = options or InferenceOptions()
        model, output_stride = bundle.model, options.output_stride
        if output_stride is not None and output_stride != model.config.output_stride:
            model = model.with_output_stride(output_stride)
        return cls(
            model, labels=bundle.labels, normalization=bundle.normalization, options=options, decision=bundle.decision
        )

    def with_averaging(
        self, *, scales: Sequence[float] | None = None, flip: bool | None = None, rotations: bool | None = None
    ) -> Predictor:
        """Return a predictor with the same model and other scales, mirror images and quarter turns; None for its own.

        Raises:
            ConfigError: if a scale is not above 0.
        """
        given: dict[str, Any] = {"scales": scales, "flip": flip, "rotations": rotations}
        other = copy.copy(self)  # the same network and backend in the same precision
        other.options = replace(self.options, **{name: value for name, value in given.items() if value is not None})
        return other

    @property
    def backend(self) -> Backend:
        """Backend of the network, created at first use.

        Raises:
            ConfigError: if the selected backend does not run here, or its outputs differ from torch's.
            MissingExtraError: if a package of the backend is missing.
        """
        with self._creating:
            if self._backend is None:
                channels = self.normalization.channels
                self._backend = create_backend(
                    self._network, channels=channels, device=self.device, options=self.options
                )
            return self._backend

    @property
    def workers(self) -> int:
        """Number of batches computed at once."""
        return self.backend.workers

    def __call__(self, image: ImageArgument, *, probabilities: bool = True) -> Prediction:
        """Predict one image.

        Args:
            image: path, array (H, W, C) with channels in RGB order, or PIL image.
            probabilities: whether to keep the probabilities of all classes, 4 bytes per pixel and class.

        Returns:
            The prediction at the size of the image.

        Raises:
            DataError: if a file cannot be read, or values are out of range.
            ShapeError: if the image does not have the model's number of channels.
        """
        return self._predict([self._decode(image)], probabilities)[0]

    def batch(self, images: Sequence[ImageArgument], *, probabilities: bool = False) -> list[Prediction]:
        """Predict several images, with batches of up to `batch_size` images of one size.

        Args:
            images: paths, arrays or PIL images of any size.
            probabilities: whether to keep the probabilities of all classes.

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
            for indices in batches(group, self.options.batch_size):
                predictions = self._predict([decoded[index] for index in indices], probabilities)
                results.update(zip(indices, predictions, strict=True))
        return [results[index] for index in range(len(decoded))]

    def stream(self, paths: Iterable[PathArgument], *, probabilities: bool = False) -> Iterator[Prediction | Failure]:
        """Predict files while the next ones are read and the previous ones finished.

        Neighbouring files of one size share batches of up to `batch_size` images.

        Args:
            paths: paths of image files.
            probabilities: whether to keep the probabilities of all classes.

        Yields:
            One prediction per file, in order, or a failure if the file cannot be read, does not fit the model, or is
            too large for the memory.
        """
        requests = (Request(index, Path(path)) for index, path in enumerate(paths))

        def finished(_: Request, image: Decoded, computed: Computed, seconds: float) -> Prediction:
            """Return the prediction for an image of the pipeline."""
            return self.finish(image, computed, seconds=seconds, probabilities=probabilities)

        yield from in_order(run_pipeline(self.computer(probabilities=probabilities), requests, finished))

    def computer(self, *, probabilities: bool = False) -> Computer:
        """Return the interface of this predictor for a pipeline; `probabilities` says whether they will be needed.

        The errors are those of `backend`.
        """
        compute = partial(self._try_compute, probabilities=probabilities)
        return Computer(compute, self.normalization, self.options.batch_size, self.workers)

    def run(self, images: NDArray[Any]) -> Tensor:
        """Return the class probabilities of images of one size, averaged over scales, mirror images and turns.

        Args:
            images: stored values, (N, H, W, C), 0 to `normalization.maximum`, with channels in RGB order.

        Returns:
            Probabilities, (N, classes, H, W) float32 on the model's device.
        """
        batch = to_batch([*images], self.normalization, self.device)
        with torch.inference_mode():
            return averaged_probabilities(
                self.backend, self._network, batch, options=self.options, decision=self.decision
            )

    def whole(self, images: Sequence[NDArray[Any]]) -> list[WholeImage]:
        """Return the class scores of images of one size for every view; arrays as in `run`."""
        batch = to_batch(images, self.normalization, self.device)
        with torch.inference_mode():
            return compute_scores(self.backend, self._network, batch, options=self.options, decision=self.decision)

    def finish(self, image: Decoded, computed: Computed, *, seconds: float, probabilities: bool) -> Prediction:
        """Make a prediction from the computed scores of an image; `seconds` is the computing time."""
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
            if len(images) > 1:  # one image may be the cause, or the batch too large: try them one by one
                return [result for image in images for result in self._try_compute([image], probabilities)]
            path, (height, width) = images[0].path, images[0].array.shape[:2]
            large = f"{path or 'an image'} ({height}x{width} pixels) needs more memory than is available"
            return [Failure(path or Path(), error if isinstance(error, XsegError) else DataError(large))]

    def _compute(self, images: Sequence[Decoded], probabilities: bool) -> Sequence[Computed]:
        """Compute images of one size, whole if the memory allows, otherwise by tiles."""
        height, width = images[0].array.shape[:2]
        plan = self._plan(height, width, len(images))
        if plan is not None:
            tile = partial(tiled, self.run, plan=plan, classes=len(self.labels), batch_size=self.options.batch_size)
            return [tile(image.array, probabilities=probabilities, decision=self.decision) for image in images]
        scores = self.whole([image.array for image in images])
        if scores[0].classes != len(self.labels):
            raise ShapeError(f"a model of {scores[0].classes} outputs", expected=f"one per class, {len(self.labels)}")
        return scores

    def _plan(self, height: int, width: int, count: int) -> TilePlan | None:
        """Return the tiles of images, or None for whole images."""
        tile, overlap = self.options.tile, self.options.overlap
        if tile == 0 or (tile == "auto" and height * width * count <= SMALL_PIXELS):
            return None
        # All images of a batch, and all batches computed at once, share the memory.
        scale = max(self.options.scales) * math.sqrt(count * self.workers)
        tiling = choose_tiling(
            self.model, height, width, channels=self.normalization.channels, tile=tile, overlap=overlap, scale=scale
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
        """Predict images of one size."""
        start = time.perf_counter()
        computed = self._compute(images, probabilities)
        seconds = (time.perf_counter() - start) / len(images)
        return [
            self.finish(image, result, seconds=seconds, probabilities=probabilities)
            for image, result in zip(images, computed, strict=True)
        ]


def _out_of_memory(error: Exception) -> bool:
    # On a CPU, torch raises a RuntimeError, which only differs from others in its text.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
