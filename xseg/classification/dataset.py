"""Images become tensors: the map-style data set, its batches and its loaders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypedDict

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import Dataset

from xseg.classification.folders import ClassReader
from xseg.classification.options import ClassificationDataOptions
from xseg.classification.preprocessing import preprocessing_of, training_transform, transform_image
from xseg.data.loading.dataset import SegmentationLoader, start_worker
from xseg.data.loading.sampler import EpochSampler, Key
from xseg.data.loading.transforms import to_tensor
from xseg.data.sample import Array
from xseg.errors import XsegError
from xseg.images.normalization import Normalization
from xseg.types import Split


class Item(TypedDict):
    """One image as a tensor (C, size, size) float32 normalised, its class, and its position in the split."""

    image: torch.Tensor
    target: int
    index: int


class Batch(TypedDict):
    """Images stacked: (N, C, size, size) float32 normalised; classes and positions in the split, (N,) int64."""

    image: torch.Tensor
    target: torch.Tensor
    index: torch.Tensor


# An error in a worker process travels as a value: PyTorch would wrap its one line into a page of traceback.
ItemOrError: TypeAlias = Item | XsegError


class ClassificationDataset(Dataset[ItemOrError]):
    """The images of a split as tensors, by (epoch, index).

    Args:
        folders: the data set.
        split: which part of it.
        options: how an image is prepared: at random for the training split, always the same for the others.
        normalization: of the image's channels.
        seed: of the random changes, 0 or more.
    """

    def __init__(
        self,
        folders: ClassReader,
        split: Split,
        *,
        options: ClassificationDataOptions,
        normalization: Normalization,
        seed: int = 0,
    ) -> None:
        self.folders, self.records, self.targets = folders, folders.records(split), folders.targets(split)
        self.normalization, self.seed = normalization, seed
        self.preprocessing = preprocessing_of(options)
        self.transform = training_transform(options) if split == "train" else None
        self._cache: tuple[Array, ...] = ()
        if options.cache:
            with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
                self._cache = tuple(threads.map(lambda record: folders.read(record).image, self.records))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> ItemOrError:
        """Return the image `index` as `epoch` sees it, or the error that a user must be told."""
        try:
            return self.item(*key)
        except XsegError as error:
            return error

    def item(self, epoch: int, index: int) -> Item:
        """Return the image `index` as `epoch` sees it: a pure function of (seed, epoch, index).

        Raises:
            DataError: if the file cannot be read, or does not fit the normalization.
        """
        image = self._cache[index] if self._cache else self.folders.read(self.records[index]).image
        if self.transform is None:
            image = self.preprocessing.apply(image)
        else:
            image = transform_image(self.transform, image, seed=self.seed, epoch=epoch, index=index)
        tensor = to_tensor(image, self.normalization, str(self.records[index].image))
        return {"image": tensor, "target": self.targets[index], "index": index}

    def picture(self, index: int) -> Array:
        """Return an image as the classifier sees it, (size, size, C) uint8, for a person to look at.

        Raises:
            DataError: if the file cannot be read.
        """
        image = self.preprocessing.apply(self.folders.read(self.records[index]).image)
        scaled: Array = np.clip(image / self.normalization.maximum * 255, 0, 255).astype(np.uint8)
        return scaled


def collate(items: Sequence[ItemOrError]) -> Batch | XsegError:
    """Stack images into a batch, or pass on the first error."""
    sound: list[Item] = []
    for item in items:
        if isinstance(item, XsegError):
            return item
        sound.append(item)
    return {
        "image": torch.stack([item["image"] for item in sound]),
        "target": torch.tensor([item["target"] for item in sound]),
        "index": torch.tensor([item["index"] for item in sound]),
    }


class ClassificationData(LightningDataModule):
    """The loaders of a data set of classes.

    They bring their own sampler, which knows about ranks: give Lightning's Trainer `use_distributed_sampler=False`.

    Args:
        folders: the data set.
        options: how its samples are made.
        normalization: of the network's input.
        seed: of shuffling and augmentation, 0 or more.
    """

    def __init__(
        self, folders: ClassReader, options: ClassificationDataOptions, normalization: Normalization, seed: int = 0
    ) -> None:
        super().__init__()
        self.folders, self.options, self.normalization, self.seed = folders, options, normalization, seed
        self._datasets: dict[Split, ClassificationDataset] = {}

    def dataset(self, split: Split) -> ClassificationDataset:
        """Return the data set of a split."""
        if split not in self._datasets:
            self._datasets[split] = ClassificationDataset(
                self.folders, split, options=self.options, normalization=self.normalization, seed=self.seed
            )
        return self._datasets[split]

    def train_dataloader(self) -> SegmentationLoader:
        """Return the loader of shuffled, changed images; a last batch that is not full is left out unless alone."""
        dataset = self.dataset("train")
        rank, world = self._rank_and_world()
        sampler = EpochSampler(len(dataset), seed=self.seed, rank=rank, world=world, even=len(dataset) >= world)
        return self._loader(dataset, sampler, drop_last=len(sampler) >= self.options.batch_size)

    def val_dataloader(self) -> SegmentationLoader:
        """Return the loader of validation images, in order."""
        dataset = self.dataset("val")
        rank, world = self._rank_and_world()
        return self._loader(dataset, EpochSampler(len(dataset), shuffle=False, rank=rank, world=world), drop_last=False)

    def _loader(self, dataset: ClassificationDataset, sampler: EpochSampler, *, drop_last: bool) -> SegmentationLoader:
        workers = self.options.workers
        return SegmentationLoader(
            dataset,
            batch_size=self.options.batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
            worker_init_fn=start_worker,
            persistent_workers=workers > 0,
            # PyTorch draws a seed per epoch; from the global generator it would change what the model draws.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _rank_and_world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return int(self.trainer.global_rank), int(self.trainer.world_size)
