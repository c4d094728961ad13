"""A small task, small data and a Trainer that is quick, for the tests of this folder."""

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.utils.data import DataLoader, Dataset

from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.training.checkpoints.io import AtomicCheckpointIO
from xseg.training.options.recipe import OptimizerOptions
from xseg.training.options.task import TaskOptions
from xseg.training.segmentation import SegmentationTask

LABELS = LabelMap(("dark", "bright", "never"))


def tiny_options(**changes):
    small = {"encoder": "xception", "width": 0.125, "decoder_channels": 8, "depth": 3, "output_stride": 8}
    return TaskOptions(**{**small, "optimizer": OptimizerOptions(lr=3e-3), **changes})


def tiny_task(*, class_weights=None, seed=0, batch_size=2, identity=None, **changes):
    torch.manual_seed(seed)
    options = tiny_options(**changes)
    task = SegmentationTask(options, LABELS, Normalization(), in_channels=3, class_weights=class_weights)
    task.batch_size, task.identity = batch_size, identity or {}
    return task


class Halves(Dataset):
    """Noisy images whose left and right halves differ in brightness; the mask tells which is brighter."""

    def __init__(self, count, size=33, ignored=False):
        self.count, self.size, self.ignored = count, size, ignored

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        mask = torch.zeros(self.size, self.size, dtype=torch.int64)
        half = self.size // 2
        mask[:, :half] = index % 2
        mask[:, half:] = 1 - index % 2
        image = 0.1 * torch.randn(3, self.size, self.size, generator=generator) + mask - 0.5
        mask[:2] = 255
        return {"image": image, "mask": torch.full_like(mask, 255) if self.ignored else mask, "name": str(index)}


class HalvesData(LightningDataModule):
    """Four batches of two, in an order that depends on the epoch alone."""

    def train_dataloader(self):
        return DataLoader(Halves(8), batch_size=2, drop_last=True)

    def val_dataloader(self):
        return DataLoader(Halves(3), batch_size=1)


def tiny_trainer(folder, callbacks=(), epochs=2):
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[*callbacks],
        logger=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        plugins=[AtomicCheckpointIO()],
    )
