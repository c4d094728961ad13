"""Data modules with loaders for the splits of a data set, for use with or without Lightning."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from xseg.data.cache import sample_source
from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.classification import ClassificationDataset
from xseg.data.loading.dataset import RecordDataset, RecordLoader, SegmentationDataset, collate, start_worker
from xseg.data.loading.sampler import EpochSampler, class_rarity, image_weights
from xseg.data.options import ClassDataOptions, DataOptions
from xseg.data.readers.own import as_reader
from xseg.data.readers.registry import create_reader
from xseg.data.sample import ClassReader, InspectableReader, Reader
from xseg.doctor.quick_look import SplitCheck, check_split, count_class_pixels
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.types import Split

_log = logging.getLogger(__name__)
Options = TypeVar("Options", DataOptions, ClassDataOptions)
Samples = TypeVar("Samples", bound=RecordDataset)
_STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("test",),
}


class RecordData(LightningDataModule, ABC, Generic[Options, Samples]):
    """Loaders for the splits of a data set, which a resumed training restores from its checkpoint.

    They have their own distributed sampler: pass `use_distributed_sampler=False` to Lightning's Trainer.

    Args:
        options: data options.
        normalization: normalisation of the network's input.
        seed: random seed of shuffling and augmentation, 0 or more.
    """

    def __init__(self, options: Options, normalization: Normalization, seed: int) -> None:
        super().__init__()
        self.options: Options = options
        self.normalization, self.seed = normalization, seed
        self._datasets: dict[Split, Samples] = {}
        self._train_sampler: EpochSampler | None = None
        self._resumed: dict[str, int] | None = None

    @abstractmethod
    def make_dataset(self, split: Split) -> Samples:
        """Return the data set of a split after checking its files.

        Raises:
            DataError: if files are missing or wrong.
        """

    def validation_batch(self, split: Split) -> int:  # noqa: ARG002
        """Return the batch size of a validation or test split."""
        return self.options.batch_size

    def training_sampler(self, size: int, *, rank: int, world: int) -> EpochSampler:
        """Return the order in which a rank visits `size` training samples."""
        return EpochSampler(size, seed=self.seed, rank=rank, world=world, even=size >= world)

    def setup(self, stage: str | None = None) -> None:
        """Create the data sets for a stage, unless they exist.

        Args:
            stage: "fit", "validate", "test", "predict", or None for "fit".

        Raises:
            DataError: if files are missing or wrong, with their number and the first fault in one line.
        """
        for split in _STAGES[stage or "fit"]:
            self.dataset(split)

    def dataset(self, split: Split) -> Samples:
        """Return the data set of a split, with augmentation for training samples only.

        Raises:
            DataError: if files are missing or wrong.
        """
        if split not in self._datasets:
            self._datasets[split] = self.make_dataset(split)
        return self._datasets[split]

    def train_dataloader(self) -> RecordLoader:
        """Return the loader of shuffled, augmented samples; an incomplete last batch is dropped unless alone."""
        dataset = self.dataset("train")
        rank, world = self._rank_and_world()
        sampler = self.training_sampler(len(dataset), rank=rank, world=world)
        if self._resumed is not None:
            sampler.load_state_dict(self._resumed)
            self._resumed = None
        self._train_sampler = sampler
        batch_size = self.options.batch_size
        return self._loader(dataset, sampler, batch_size, drop_last=len(sampler) >= batch_size)

    def val_dataloader(self) -> RecordLoader:
        """Return the loader of validation images, in order."""
        return self._in_order("val")

    def test_dataloader(self) -> RecordLoader:
        """Return the loader of test images, in order."""
        return self._in_order("test")

    def state_dict(self) -> dict[str, Any]:
        """Return the position of training in the order of its epoch, for a checkpoint."""
        if self._train_sampler is None or self.trainer is None:
            return {}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batches = int(progress.state_dict()["current"]["processed"])
        return {"epoch": int(self.trainer.current_epoch), "position": batches * self.options.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume from a checkpoint, with the same samples in the same order."""
        if state_dict:
            self._resumed = {"epoch": int(state_dict["epoch"]), "position": int(state_dict["position"])}

    def _in_order(self, split: Split) -> RecordLoader:
        dataset = self.dataset(split)
        rank, world = self._rank_and_world()
        sampler = EpochSampler(len(dataset), shuffle=False, rank=rank, world=world)
        return self._loader(dataset, sampler, self.validation_batch(split), drop_last=False)

    def _loader(self, dataset: Samples, sampler: EpochSampler, batch_size: int, *, drop_last: bool) -> RecordLoader:
        workers = self.options.workers
        return RecordLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
            worker_init_fn=start_worker,
            persistent_workers=workers > 0,
            # PyTorch draws a seed per epoch; with the global generator, this would change the model's random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _rank_and_world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return int(self.trainer.global_rank), int(self.trainer.world_size)


class SegmentationData(RecordData[DataOptions, SegmentationDataset]):
    """Loaders for segmentation: augmented crops for training, whole images for validation and test.

    Args:
        options: data options.
        normalization: normalisation of the network's input, with the number of channels in the options.
        seed: random seed of shuffling and augmentation, 0 or more.
        reader: reader of the data set; None to create it from the options.

    Attributes:
        reader: reader of the data set.
        checks: result of the quick check for each split that was set up.

    Raises:
        ConfigError: if the options contradict each other or the normalisation.
        DataError: if the data set does not exist.
    """

    def __init__(
        self, options: DataOptions, normalization: Normalization, seed: int = 0, *, reader: Reader | None = None
    ) -> None:
        if normalization.channels != options.channel_count:
            got = f"channels={options.channel_count} with a normalization of {normalization.channels} channels"
            raise ConfigError(got, expected="the same number", remedy="set channels to the model's number")
        super().__init__(options, normalization, seed)
        self.reader = create_reader(options) if reader is None else as_reader(reader, channels=options.channel_count)
        self.labels = self.reader.labels
        self.checks: dict[Split, SplitCheck] = {}
        self._class_aware = options.sampling == "class_aware"

    def make_dataset(self, split: Split) -> SegmentationDataset:
        """Return the data set of a split after checking its files: augmented training crops, or whole images."""
        if self.options.check and isinstance(self.reader, InspectableReader):
            self.checks[split] = check_split(self.reader, split, crop=self.options.crop)
            for finding in self.checks[split].findings if self._rank_and_world()[0] == 0 else ():
                if finding.severity == "warning":
                    _log.warning("data: %s; %s", finding.title, finding.remedy)
        transform = None
        if split == "train":
            weights = tuple((class_rarity(self.class_pixels) ** 2).tolist()) if self._class_aware else ()
            bands = len(self.labels) if self.labels.overlapping else 0
            transform = training_transform(
                self.options, self.normalization, self.labels.ignore_index, class_weights=weights, bands=bands
            )
        records = self.reader.records(split)
        return SegmentationDataset(
            sample_source(self.options, self.reader, records, processes=self._rank_and_world()[1]),
            records,
            normalization=self.normalization,
            transform=transform,
            seed=self.seed,
        )

    def validation_batch(self, split: Split) -> int:
        """Return the batch size if all images of the split are known to have one size, else 1."""
        check = self.checks.get(split)
        return self.options.batch_size if check is not None and len(check.sizes) == 1 else 1

    def training_sampler(self, size: int, *, rank: int, world: int) -> EpochSampler:
        """Return the order in which a rank visits `size` training samples, according to `data.sampling`."""
        options = self.options
        visits = options.steps_per_epoch * options.batch_size * world or size * options.crops_per_image
        weights = image_weights(self.class_pixels) if self._class_aware else ()
        return EpochSampler(
            size, seed=self.seed, rank=rank, world=world, even=visits >= world, visits=visits, weights=weights
        )

    @cached_property
    def class_pixels(self) -> NDArray[np.int64]:
        """Labelled pixels of the training images, (images, classes), from the quick check if there was one."""
        check = self.checks.get("train")
        if check is not None and check.class_pixels.any():
            return check.class_pixels
        return count_class_pixels(self.reader, self.reader.records("train"))


class ClassificationData(RecordData[ClassDataOptions, ClassificationDataset]):
    """Loaders for classification.

    Args:
        reader: reader of the data set.
        options: data options.
        normalization: normalisation of the network's input.
        seed: random seed of shuffling and augmentation, 0 or more.
    """

    def __init__(
        self, reader: ClassReader, options: ClassDataOptions, normalization: Normalization, seed: int = 0
    ) -> None:
        super().__init__(options, normalization, seed)
        self.reader = reader

    def make_dataset(self, split: Split) -> ClassificationDataset:
        """Return the data set of a split."""
        return ClassificationDataset(
            self.reader, split, options=self.options, normalization=self.normalization, seed=self.seed
        )
