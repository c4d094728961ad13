"""Pictures of the same validation images after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xseg.files.atomic import atomic_path
from xseg.images.normalization import Normalization
from xseg.images.overlay import Pixels, blend, displayable
from xseg.training.segmentation import SegmentationTask

WIDTH = 320  # width of one picture in pixels; three of them fit side by side on a screen


def spread(names: Sequence[str], count: int, world: int = 1) -> list[str]:
    """Return up to `count` names, spread evenly over those of the first of `world` processes."""
    own = list(names)[::world]
    return [own[index * len(own) // count] for index in range(count)] if len(own) > count else own


class ValidationPictures(Callback):
    """Draws some images after every validation, with image, label and prediction in one row each.

    Writes FOLDER/epoch_NNNN.png, and the same picture to TensorBoard as "val/pictures".
    """

    def __init__(self, folder: Path, names: Sequence[str], count: int) -> None:
        self.folder, self.names, self.count = folder, tuple(names), count
        self._chosen: set[str] = set()
        self._rows: dict[str, Pixels] = {}

    def on_validation_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Select the images, always the same ones."""
        self._rows = {}
        self._chosen = set(spread(self.names, self.count, trainer.world_size)) if trainer.is_global_zero else set()

    def on_validation_batch_end(
        self, _trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, _index: int, _loader: int = 0
    ) -> None:
        """Draw the selected images of the batch."""
        if not isinstance(module, SegmentationTask) or not isinstance(outputs, Tensor):
            return
        for index, name in enumerate(batch.get("name", ())):
            if name in self._chosen:
                image = batch["image"][index].float().cpu().numpy()
                label, prediction = (masks[index].cpu().numpy() for masks in (batch["mask"], outputs))
                self._rows[name] = draw_row(image, label, prediction, module)

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Write the picture of the epoch."""
        if not self._rows or trainer.sanity_checking:
            return
        sheet = stack_rows([self._rows[name] for name in sorted(self._rows)])
        with atomic_path(self.folder / f"epoch_{trainer.current_epoch + 1:04d}.png") as temporary:
            Image.fromarray(sheet).save(temporary, optimize=True)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/pictures", sheet, trainer.global_step, dataformats="HWC")


def draw_row(
    image: NDArray[np.float32], label: NDArray[np.int64], prediction: NDArray[np.int64], task: SegmentationTask
) -> Pixels:
    """Return image, label and prediction side by side, (h, 3 * 320, 3) uint8.

    Args:
        image: normalised image, (C, H, W).
        label: train ids or the ignored value, (H, W), or (classes, H, W) for overlapping classes.
        prediction: train ids, of the same shape.
        task: task with classes and normalisation.
    """
    picture = displayable(stored_pixels(image, task.normalization))
    size = (WIDTH, max(1, round(picture.shape[0] * WIDTH / picture.shape[1])))
    shrinks = picture.shape[1] > WIDTH
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST).astype(np.uint8)
    planes = [mask if mask.ndim == 2 else np.moveaxis(mask, 0, 2) for mask in (label, prediction)]
    masks = [cv2.resize(mask.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST) for mask in planes]
    masks = [mask.reshape(*size[::-1], *plane.shape[2:]) for mask, plane in zip(masks, planes, strict=True)]
    return np.concatenate([picture, *(blend(picture, mask, task.labels) for mask in masks)], axis=1)


def stored_pixels(image: NDArray[np.float32], normalization: Normalization) -> NDArray[Any]:
    """Return the stored values (H, W, C) of a normalised image (C, H, W)."""
    mean, std = (np.asarray(values, np.float32) for values in (normalization.mean, normalization.std))
    stored = (image.transpose(1, 2, 0) * std + mean) * normalization.maximum
    return stored.round().clip(0, 255).astype(np.uint8) if normalization.maximum == 255 else stored


def stack_rows(rows: Sequence[Pixels]) -> Pixels:
    """Return rows of equal width stacked vertically, separated by thin white lines."""
    line = np.full((2, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (line, row)][1:])
