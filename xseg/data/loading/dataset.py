"""Records become tensors: the map-style data set, its batches and its loader."""

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

Item: TypeAlias = dict[str, Any]  # one sample: image (C, H, W) float32 normalised, its label, its name
Batch: TypeAlias = dict[str, Any]  # samples stacked: image (N, C, H, W), labels, names
# An error in a worker process travels as a value: PyTorch would wrap its one line into a page of traceback.
ItemOrError: TypeAlias = Item | XsegError


class RecordDataset(Dataset[ItemOrError], ABC):
    """The records of a split as tensors, by (epoch, index).

    Args:
        source: gives decoded records: a reader, or a cache before one.
        records: the records of one split.
        normalization: that of the image's channels.
        transform: what is done at random to a sample, or None for the image as it is validated.
        seed: seed of the random changes, 0 or more.
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
        """Return the sample `index` as `epoch` sees it, or the error to report to the user."""
        try:
            return self.item(*key)
        except XsegError as error:
            return error

    def item(self, epoch: int, index: int) -> Item:
        """Return the sample `index` as `epoch` sees it: a pure function of (seed, epoch, index).

        An index beyond the last is a repetition: the same record, changed otherwise.

        Raises:
            DataError: if the record cannot be read, has no label, or does not fit the normalization.
        """
        record = self.records[index % len(self.records)]
        image, label = self.prepare(self.source.read(record), record, epoch, index)
        return {"image": to_tensor(image, self.normalization, str(record.image)), **label, "name": record.name}

    @abstractmethod
    def prepare(self, sample: Sample, record: Record, epoch: int, index: int) -> tuple[Array, dict[str, Any]]:
        """Return the image (H, W, C) as `epoch` sees it, and its label by the batch's names."""


class SegmentationDataset(RecordDataset):
    """Images with masks: items have `mask`, (H, W) int64 train ids."""

    def prepare(self, sample: Sample, record: Record, epoch: int, index: int) -> tuple[Array, dict[str, Any]]:
        """Return the image and the mask, changed alike.

        Raises:
            DataError: if there is no mask.
        """
        if sample.mask is None:
            raise DataError(f"{record.image} has no mask", expected="a labelled image")
        image, mask = sample.image, sample.mask
        if self.transform is not None:
            image, mask = transform_sample(self.transform, image, mask, seed=self.seed, epoch=epoch, index=index)
        return image, {"mask": torch.from_numpy(mask.astype(np.int64))}


def collate(items: Sequence[ItemOrError]) -> Batch | XsegError:
    """Stack samples of one size into a batch, or pass on the first error."""
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
    """Return tensors of one shape stacked, numbers as a tensor, and names as they are."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack(values)
    return torch.tensor(values) if isinstance(values[0], int) else values


class RecordLoader(DataLoader[Any]):
    """A data loader that raises an error of a worker process as it was meant, in one line."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield batches.

        Raises:
            XsegError: what a sample's reading raised.
        """
        for batch in super().__iter__():
            if isinstance(batch, XsegError):
                # The workers end now. Kept alive by the error's traceback they would be found by the garbage
                # collector, which closes their queues before it tells them to end: 5 seconds of waiting for each.
                self._iterator = None
                raise batch
            yield batch


def start_worker(worker: int) -> None:  # noqa: ARG001 - PyTorch's interface
    """Keep OpenCV in a worker process to one thread: the workers are the parallelism.

    A scheduler and a terminal signal every process of a job. The main process then saves and ends its workers, which
    until then have to give it the images of the running step.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
