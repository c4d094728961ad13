"""Speed of prediction on folders, compared with the bare model and with SMP's documented usage."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from xseg.benchmarks.train_step import Run, in_turns
from xseg.errors import DataError
from xseg.factory import create_model
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.pipeline import Request
from xseg.inference.predictor import Predictor
from xseg.inference.preprocessing import to_array, to_batch
from xseg.labels.label_map import LabelMap
from xseg.nn.resize import resize
from xseg.predict.job import predict_images
from xseg.predict.sources import Source
from xseg.predict.writer import PredictionWriter

ROUNDS = 5  # interleaved, because the speed of a machine drifts
PEER_CLASSES = 11


@dataclass(frozen=True)
class Comparison:
    """Speeds of two implementations in images per second, one per interleaved round."""

    name: str
    ours: tuple[float, ...]
    other: tuple[float, ...]
    details: str

    @property
    def ratio(self) -> float:
        """Median ratio of our speed to the other, over the rounds."""
        return statistics.median(a / b for a, b in zip(self.ours, self.other, strict=True))


def overlap(predictor: Predictor, files: Sequence[Path], *, rounds: int = ROUNDS) -> Comparison:
    """Compare prediction from image files of one size to mask files with the bare model.

    The bare model is the same backend on a batch in memory, with as many threads as it uses by default, up to the
    logits at the size of the image.
    """
    backend, size = predictor.backend, predictor.options.batch_size
    image = to_array(files[0], predictor.normalization)
    batch = to_batch([image] * size, predictor.normalization, predictor.device)
    batches = -(-len(files) // size)

    def bare() -> None:
        with ThreadPoolExecutor(backend.workers) as pool:
            list(pool.map(lambda _: resize(backend(batch), *image.shape[:2]), range(batches)))

    with tempfile.TemporaryDirectory() as directory:
        writer = PredictionWriter(Path(directory))
        return _compared(
            "complete run / bare model",
            (lambda: _predict(predictor, files, writer), len(files)),
            (bare, batches * size),
            rounds,
            f"{backend.name} {backend.precision}, batch {size}, {len(files)} files of "
            f"{image.shape[0]}x{image.shape[1]}",
        )


def against_smp(files: Sequence[Path], options: InferenceOptions, *, rounds: int = ROUNDS) -> Comparison:
    """Compare with SMP's DeepLabV3Plus on timm's xception65: eager, float32, a loop over files with OpenCV.

    Both have random weights, the same encoder, output stride 16 and `PEER_CLASSES` classes, and write a mask per image.

    Args:
        files: images whose sides are multiples of 16, as SMP requires.
        options: inference options of xseg.
        rounds: number of rounds.
    """
    import segmentation_models_pytorch as smp

    peer = smp.DeepLabV3Plus("tu-xception65", encoder_weights=None, classes=PEER_CLASSES).eval()
    own = create_model("deeplabv3plus", encoder="xception65", classes=PEER_CLASSES, output_stride=16)
    labels = LabelMap(tuple(f"class {index}" for index in range(PEER_CLASSES)))
    predictor = Predictor(own, labels=labels, normalization=Normalization(), options=options)
    with tempfile.TemporaryDirectory() as directory:
        writer = PredictionWriter(Path(directory))
        return _compared(
            "xseg / SMP's DeepLabV3Plus tu-xception65",
            (lambda: _predict(predictor, files, writer), len(files)),
            (lambda: _loop(peer, files, Path(directory)), len(files)),
            rounds,
            f"{predictor.backend.name} {predictor.backend.precision}, {len(files)} files, "
            f"{torch.get_num_threads()} threads",
        )


def _predict(predictor: Predictor, files: Sequence[Path], writer: PredictionWriter) -> None:
    """Predict files to masks."""
    sources = [Source(path, str(index)) for index, path in enumerate(files)]
    requests = [Request(index, path) for index, path in enumerate(files)]
    for row in predict_images(predictor, sources, writer, requests):
        if row.status != "ok":
            raise RuntimeError(row.error)


@torch.no_grad()
def _loop(model: nn.Module, files: Sequence[Path], directory: Path) -> None:
    """Predict as in SMP's documentation: read, normalise, run, take the best class, write."""
    for path in files:
        image = cv2.cvtColor(_read(path), cv2.COLOR_BGR2RGB)
        normalized = (image / 255.0 - 0.5) / 0.5
        tensor = torch.from_numpy(normalized.transpose(2, 0, 1)).float().unsqueeze(0)
        mask = model(tensor).argmax(dim=1)[0].numpy().astype(np.uint8)
        cv2.imwrite(str(directory / path.name), mask)


def _compared(name: str, ours: tuple[Run, int], other: tuple[Run, int], rounds: int, details: str) -> Comparison:
    """Measure the images per second of two implementations in turns."""
    own, peer = in_turns((ours[0], other[0]), rounds)
    return Comparison(name, tuple(ours[1] / each for each in own), tuple(other[1] / each for each in peer), details)


@contextmanager
def resized(files: Sequence[Path], side: int) -> Iterator[list[Path]]:
    """Yield copies of images as PNGs of `side` x `side` pixels."""
    with tempfile.TemporaryDirectory() as directory:
        copies = []
        for index, path in enumerate(files):
            copy = Path(directory) / f"{index:05}.png"
            cv2.imwrite(str(copy), cv2.resize(_read(path), (side, side)))
            copies.append(copy)
        yield copies


def _read(path: Path) -> Any:
    """Read an image with OpenCV, (H, W, 3) uint8 in BGR order."""
    image = cv2.imread(str(path))
    if image is None:
        raise DataError(f"{path} cannot be decoded", expected="an image")
    return image
