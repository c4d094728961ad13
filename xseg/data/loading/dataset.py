"""Map-style data sets of tensors, their batches and their loader."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from xseg.data.cache import SampleSource
from xseg.data.loading.sampler import Key
from xseg.data.loading.transforms import Transform, to_tensor, transform_sample
from xseg.data.sample import Array, Record, Sample
from xseg.errors import DataError, XsegError
from xseg.images.normalization import Normalization

Item: TypeAlias = dict[str, Any]  # one sample: normalised image (C, H, W) float32, label and name
Batch: TypeAlias = dict[str, Any]  # stacked samples: image (N, C, H, W), labels and names
# Workers return errors as values: PyTorch would add a page of traceback to the one-line message.
ItemOrError: TypeAlias = Item | XsegError


class RecordDataset(Dataset[ItemOrError], ABC):
    """Records of a split as tensors, by (epoch, index).

    Args:
        source: source of decoded records: a reader or a cache.
        records: records of the split.
        normalization: normalisation of the images.
        transform: random augmentation; None for validation.
        seed: random seed of the augmentation, 0 or more.
    """

    def __init__(
        self,
        source: SampleSource,
        records: Sequence[Record],
        *,
        normalization: Normalization,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        self.source, self.records = source, tuple(records)
        self.normalization, self.transform, self.seed = normalization, transform, seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> ItemOrError:
        """Return the sample `index` in `epoch`, or the error to report to the user."""
        try:
            return self.item(*key)
        except XsegError as error:
            return error

    def item(self, epoch: int, index: int) -> Item:
        """Return the sample `index` in `epoch`, a pure function of (seed, epoch, index).

        An index beyond the last one is a repetition: the same record with another augmentation.

        Raises:
            DataError: if the record cannot be read, has no label, or does not fit the normalization.
        """
        record = self.records[index % len(self.records)]
        image, label = self.prepare(self.source.read(record), record, epoch, index)
        return {"image": to_tensor(image, self.normalization, str(record.image)), **label, "name": record.name}

    @abstractmethod
    def prepare(self, sample: Sample, record: Record, epoch: int, index: int) -> tuple[Array, dict[str, Any]]:
        """Return the image (H, W, C) in `epoch`, and its label by name in the batch."""


class SegmentationDataset(RecordDataset):
    """Images with masks; samples have `mask`, train ids (H, W) int64, or (classes, H, W) for overlapping classes."""

    def prepare(self, sample: Sample, record: Record, epoch: int, index: int) -> tuple[Array, dict[str, Any]]:
        """Return the image and the mask with the same augmentation."""
        if sample.mask is None:
            raise DataError(f"{record.image} has no mask", expected="a labelled image")
        image, mask = sample.image, sample.mask
        if self.transform is not None:
            image, mask = transform_sample(self.transform, image, mask, seed=self.seed, epoch=epoch, index=index)
        planes = np.moveaxis(mask, 2, 0) if mask.ndim == 3 else mask
        return image, {"mask": torch.from_numpy(planes.astype(np.int64, order="C"))}


def collate(items: Sequence[ItemOrError]) -> Batch | XsegError:
    """Stack samples of one size to a batch, or return the first error."""
    sound: list[Item] = []
    for item in items:
        if isinstance(item, XsegError):
            return item
        sound.append(item)
    sizes = sorted({tuple(item["image"].shape) for item in sound})
    if len(sizes) > 1:
        return DataError(
            f"images of sizes {sizes} in one batch", expected="one size", remedy="use a batch of 1 for whole images"
        )
    return {name: _stacked([item[name] for item in sound]) for name in sound[0]}


def _stacked(values: list[Any]) -> Any:
    """Return stacked tensors for tensors of one shape, a tensor for numbers, and names unchanged."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack(values)
    return torch.tensor(values) if isinstance(values[0], int) else values


class RecordLoader(DataLoader[Any]):
    """A data loader that raises errors of worker processes unchanged, in one line."""

    def _get_iterator(self) -> Any:
        """Return PyTorch's iterator, whose workers end when PyTorch terminates them although they ignore SIGTERM."""
        iterator = super()._get_iterator()
        for worker in getattr(iterator, "_workers", ()):
            worker._popen.terminate = worker._popen.kill  # what Python calls at its exit, too
        return iterator

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield batches.

        Raises:
            XsegError: if reading a sample raised it.
        """
        for batch in super().__iter__():
            if isinstance(batch, XsegError):
                # End the workers now. The traceback would keep them alive until the garbage collector closes their
                # queues before ending them, which takes 5 seconds per worker.
                self._iterator = None
                raise batch
            yield batch


def start_worker(worker: int) -> None:  # noqa: ARG001 - PyTorch's interface
    """Limit OpenCV to one thread in a worker process, and ignore signals.

    A scheduler or terminal signals every process of a job. The main process then saves and ends its workers, which
    must still deliver the images of the current step.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
