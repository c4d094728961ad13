"""The loaders of a data set's splits, for Lightning and for use without it."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from xseg.data.cache import sample_source
from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.dataset import SegmentationDataset, SegmentationLoader, collate, start_worker
from xseg.data.loading.sampler import ClassAwareSampler, EpochSampler, class_rarity, image_weights
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import InspectableReader, Reader
from xseg.doctor.quick_look import SplitCheck, check_split, count_class_pixels
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.types import Split

_log = logging.getLogger(__name__)
_STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("test",),
}


class SegmentationData(LightningDataModule):
    """A data set's loaders: augmented crops for training, whole images for validation and test.

    The loaders bring their own sampler, which knows about ranks: give Lightning's Trainer
    `use_distributed_sampler=False`.

    Args:
        options: which data set, and how its samples are made.
        normalization: of the network's input; its channels are the options' channels.
        seed: of shuffling and augmentation, 0 or more.
        reader: the options' data set, where it is made already; None to make it.

    Attributes:
        reader: reads the data set.
        checks: what the look at the files found, per split that was set up.

    Raises:
        ConfigError: if the options contradict each other or the normalization.
        DataError: if the data set is not where the options say.
    """

    def __init__(
        self, options: DataOptions, normalization: Normalization, seed: int = 0, *, reader: Reader | None = None
    ) -> None:
        super().__init__()
        if normalization.channels != options.channels:
            raise ConfigError(
                f"channels={options.channels} with a normalization of {normalization.channels} channels",
                expected="as many",
                remedy="set channels to what the model takes",
            )
        self.options, self.normalization, self.seed = options, normalization, seed
        self.reader = create_reader(options) if reader is None else reader
        self.labels = self.reader.labels
        self.checks: dict[Split, SplitCheck] = {}
        self._datasets: dict[Split, SegmentationDataset] = {}
        self._train_sampler: EpochSampler | None = None
        self._resumed: dict[str, int] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Look at the files of the stage's splits and make their data sets; what was done is not done again.

        Args:
            stage: "fit", "validate", "test", "predict", or None for "fit".

        Raises:
            DataError: if files are missing or wrong: one line with their number and the first one's fault.
        """
        for split in _STAGES[stage or "fit"]:
            self.dataset(split)

    def dataset(self, split: Split) -> SegmentationDataset:
        """Return the data set of a split, after a look at its files: training samples changed, others whole.

        Raises:
            DataError: if files are missing or wrong.
        """
        if split not in self._datasets:
            if self.options.check and isinstance(self.reader, InspectableReader):
                self.checks[split] = check_split(self.reader, split, crop=self.options.crop)
                self._tell_warnings(split)
            transform = None
            if split == "train":
                weights = tuple((class_rarity(self.class_pixels) ** 2).tolist()) if self._class_aware else ()
                transform = training_transform(
                    self.options, self.normalization, self.labels.ignore_index, class_weights=weights
                )
            records = self.reader.records(split)
            self._datasets[split] = SegmentationDataset(
                sample_source(self.options, self.reader, records),
                records,
                normalization=self.normalization,
                transform=transform,
                seed=self.seed,
            )
        return self._datasets[split]

    def train_dataloader(self) -> SegmentationLoader:
        """Return the loader of shuffled, changed crops; a last batch that is not full is left out unless alone."""
        dataset = self.dataset("train")
        rank, world = self._rank_and_world()
        sampler = self._training_sampler(len(dataset), rank, world)
        if self._resumed is not None:
            sampler.load_state_dict(self._resumed)
            self._resumed = None
        self._train_sampler = sampler
        batch_size = self.options.batch_size
        return self._loader(dataset, sampler, batch_size, drop_last=len(sampler) >= batch_size)

    def val_dataloader(self) -> SegmentationLoader:
        """Return the loader of whole validation images, in order."""
        return self._whole("val")

    def test_dataloader(self) -> SegmentationLoader:
        """Return the loader of whole test images, in order."""
        return self._whole("test")

    def state_dict(self) -> dict[str, Any]:
        """Return where training stands in its epoch's order, for a checkpoint."""
        if self._train_sampler is None or self.trainer is None:
            return {}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batches = int(progress.state_dict()["current"]["processed"])
        return {"epoch": int(self.trainer.current_epoch), "position": batches * self.options.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint left off, with the same samples in the same order."""
        if state_dict:
            self._resumed = {"epoch": int(state_dict["epoch"]), "position": int(state_dict["position"])}

    def _whole(self, split: Split) -> SegmentationLoader:
        dataset = self.dataset(split)
        rank, world = self._rank_and_world()
        sampler = EpochSampler(len(dataset), shuffle=False, rank=rank, world=world)
        check = self.checks.get(split)
        same = check is not None and len(check.sizes) == 1
        return self._loader(dataset, sampler, self.options.batch_size if same else 1, drop_last=False)

    def _tell_warnings(self, split: Split) -> None:
        if self._rank_and_world()[0] != 0:
            return
        for finding in self.checks[split].findings:
            if finding.severity == "warning":
                _log.warning("data: %s; %s", finding.title, finding.remedy)

    @property
    def _class_aware(self) -> bool:
        return self.options.sampling == "class_aware"

    def _training_sampler(self, size: int, rank: int, world: int) -> EpochSampler:
        even = size >= world
        if not self._class_aware:
            return EpochSampler(size, seed=self.seed, rank=rank, world=world, even=even)
        weights = image_weights(self.class_pixels)
        return ClassAwareSampler(weights, seed=self.seed, rank=rank, world=world, even=even)

    @cached_property
    def class_pixels(self) -> NDArray[np.int64]:
        """Labelled pixels of the training images, (images, classes), of the look at the files if there was one."""
        check = self.checks.get("train")
        if check is not None and check.class_pixels.any():
            return check.class_pixels
        return count_class_pixels(self.reader, self.reader.records("train"))

    def _loader(
        self, dataset: SegmentationDataset, sampler: EpochSampler, batch_size: int, *, drop_last: bool
    ) -> SegmentationLoader:
        workers = self.options.workers
        return SegmentationLoader(
            dataset,
            batch_size=batch_size,
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
