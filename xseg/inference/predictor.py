"""Running a model on images: one, a batch, or a stream of files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.errors import DataError, ShapeError, XsegError
from xseg.inference.ahead import ahead
from xseg.inference.bundles import locate_bundle
from xseg.inference.device import precision_context, select_device
from xseg.inference.options import InferenceOptions
from xseg.inference.prediction import Failure, Prediction
from xseg.inference.preprocessing import ImageArgument, to_array, to_batch
from xseg.inference.tta import averaged_probabilities
from xseg.labels import LabelMap
from xseg.models.bundle import Bundle, load_bundle
from xseg.normalization import Normalization
from xseg.types import OutputStride, PathArgument, Precision

DECODE_THREADS = 2


@dataclass(frozen=True, eq=False)
class _Decoded:
    """An image that is ready to be predicted on."""

    array: NDArray[Any]
    path: Path | None = None
    seconds: float = 0.0


class Predictor:
    """A model with what it needs to be used on images: labels, normalisation, device, and how it is run.

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

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        output_stride: OutputStride | None = None,
        batch_size: int = 1,
    ) -> Self:
        """Return a predictor for a bundle.

        Args:
            bundle: model, labels and normalisation.
            device: see `InferenceOptions`, as for all that follow.
            precision: of the computation.
            scales: sizes to average over.
            flip: average over the mirror image too.
            output_stride: in place of the model's own; the weights are shared.
            batch_size: images of one size that go through together.

        Raises:
            ConfigError: if a value is out of range or the device is not there.
        """
        options = InferenceOptions(tuple(scales), flip, output_stride, batch_size, device, precision)
        model = bundle.model
        if output_stride is not None and output_stride != bundle.config.output_stride:
            model = model.with_output_stride(output_stride)
        return cls(model, labels=bundle.labels, normalization=bundle.normalization, options=options)

    def with_averaging(self, *, scales: Sequence[float], flip: bool) -> Predictor:
        """Return a predictor with the same model that averages over other sizes and mirror images.

        Raises:
            ConfigError: if a scale is not above 0.
        """
        options = replace(self.options, scales=tuple(scales), flip=flip)
        return Predictor(self.model, labels=self.labels, normalization=self.normalization, options=options)

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
        order = sorted(range(len(decoded)), key=lambda index: _kind(decoded[index]))
        results: dict[int, Prediction] = {}
        for _, group in groupby(order, key=lambda index: _kind(decoded[index])):
            for indices in _chunks(list(group), self.options.batch_size):
                predictions = self._predict([decoded[index] for index in indices], probabilities)
                results.update(zip(indices, predictions, strict=True))
        return [results[index] for index in range(len(decoded))]

    def stream(self, paths: Iterable[PathArgument], *, probabilities: bool = False) -> Iterator[Prediction | Failure]:
        """Predict on files one after the other, reading the next ones meanwhile.

        Neighbours of one size go through the model together, `batch_size` at a time.

        Args:
            paths: image files.
            probabilities: keep the probabilities of all classes.

        Yields:
            A prediction per file, in order, or a failure where the file cannot be read, does not fit the model, or
            is too large for the memory.
        """
        depth = max(4, 2 * self.options.batch_size)
        decoded = ahead(self._try_decode, paths, threads=DECODE_THREADS, depth=depth)
        for _, group in groupby(decoded, key=lambda item: None if isinstance(item, Failure) else _kind(item)):
            waiting: list[_Decoded] = []
            for item in group:
                if isinstance(item, Failure):
                    yield item
                    continue
                waiting.append(item)
                if len(waiting) == self.options.batch_size:
                    yield from self._try_predict(waiting, probabilities)
                    waiting = []
            yield from self._try_predict(waiting, probabilities)

    def _decode(self, image: ImageArgument) -> _Decoded:
        start = time.perf_counter()
        array = to_array(image, self.normalization)
        path = Path(image) if isinstance(image, str | PathLike) else None
        return _Decoded(array, path, time.perf_counter() - start)

    def _try_decode(self, path: PathArgument) -> _Decoded | Failure:
        try:
            return self._decode(path)
        except XsegError as error:
            return Failure(Path(path), error)

    def _try_predict(self, items: list[_Decoded], probabilities: bool) -> list[Prediction | Failure]:
        try:
            return list(self._predict(items, probabilities))
        except (XsegError, RuntimeError, MemoryError) as error:
            if not isinstance(error, XsegError) and not _out_of_memory(error):
                raise
            if len(items) > 1:  # one image's fault, or too many at once: alone the others may do
                return [result for item in items for result in self._try_predict([item], probabilities)]
            failure = error if isinstance(error, XsegError) else _too_large(items[0])
            return [Failure(item.path or Path(), failure) for item in items]

    def _predict(self, items: Sequence[_Decoded], probabilities: bool) -> list[Prediction]:
        """Predict on images of one size."""
        if not items:
            return []
        start = time.perf_counter()
        masks, scores = self._run([item.array for item in items], probabilities)
        seconds = (time.perf_counter() - start) / len(items)
        return [
            Prediction(
                mask=masks[index],
                image=item.array,
                labels=self.labels,
                probabilities=None if scores is None else scores[index],
                path=item.path,
                seconds=item.seconds + seconds,
            )
            for index, item in enumerate(items)
        ]

    @torch.inference_mode()
    def _run(
        self, arrays: Sequence[NDArray[Any]], probabilities: bool
    ) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Return masks (N, H, W) and, if asked for, probabilities (N, classes, H, W)."""
        images = to_batch(arrays, self.normalization, self.device)
        plain = self.options.scales == (1.0,) and not self.options.flip
        with precision_context(self.device, self.options.precision):
            if plain:
                scores: Tensor = self.model(images).float()
            else:
                scores = averaged_probabilities(self.model, images, scales=self.options.scales, flip=self.options.flip)
        if scores.shape[1] != len(self.labels):
            raise ShapeError(f"a model of {scores.shape[1]} outputs", expected=f"one per class, {len(self.labels)}")
        indices = scores.argmax(dim=1)
        if len(self.labels) <= 256:
            masks: NDArray[Any] = indices.to(torch.uint8).cpu().numpy()
        else:
            masks = indices.to(torch.int32).cpu().numpy().astype(np.uint16)
        if not probabilities:
            return masks, None
        return masks, (scores.softmax(dim=1) if plain else scores).cpu().numpy()


def load(
    source: PathArgument,
    *,
    device: str = "auto",
    precision: Precision = "float32",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    output_stride: OutputStride | None = None,
    batch_size: int = 1,
) -> Predictor:
    """Load a model to use it.

    Args:
        source: a run directory, whose best epoch is taken; a bundle directory; or a Hugging Face Hub id "owner/name".
        device: see `InferenceOptions`, as for all that follow.
        precision: of the computation.
        scales: sizes to average over.
        flip: average over the mirror image too.
        output_stride: in place of the model's own.
        batch_size: images of one size that go through together.

    Raises:
        ConfigError: if a value is out of range or the device is not there.
        WeightsError: if there is no model, or it cannot be read.
    """
    return Predictor.from_bundle(
        load_bundle(locate_bundle(source)),
        device=device,
        precision=precision,
        scales=scales,
        flip=flip,
        output_stride=output_stride,
        batch_size=batch_size,
    )


def _kind(item: _Decoded) -> tuple[tuple[int, ...], str]:
    """Return what images must share to go through the model together."""
    return item.array.shape, item.array.dtype.str


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a bare RuntimeError, which only its text tells from others.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _too_large(item: _Decoded) -> DataError:
    height, width = item.array.shape[:2]
    return DataError(f"{item.path or 'an image'} ({width} x {height} pixels) needs more memory than there is")
