"""Resumption from a checkpoint, after checking that it fits the current options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from xseg.errors import ConfigError, DataError, WeightsError, XsegError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.classifier import ClassifierConfig
from xseg.models.config import ModelConfig
from xseg.training.checkpoints.io import STATE_KEY, read_checkpoint, sound_checkpoint
from xseg.types import Task

CLASS_WEIGHTS = "objective.class_weights"
Config = TypeVar("Config", ModelConfig, ClassifierConfig)


@dataclass(frozen=True)
class Batching:
    """Number of images per step: images per process and batch, processes, and batches per step."""

    batch_size: int
    processes: int
    accumulated: int

    @property
    def key(self) -> tuple[int, int]:
        """Values that must not change for the same batches in the same order."""
        return self.batch_size * self.processes, self.accumulated

    @property
    def images_per_step(self) -> int:
        """Images per optimiser step."""
        return self.batch_size * self.processes * self.accumulated

    def __str__(self) -> str:
        """Return the numbers as text."""
        return f"{self.batch_size} images x {self.processes} processes x {self.accumulated} accumulated batches"


@dataclass(frozen=True)
class Resumption(Generic[Config]):
    """A checkpoint to resume from.

    Args:
        path: path of the undamaged checkpoint.
        note: fault of the requested checkpoint, if the previous one is used instead; otherwise None.
        step: number of completed optimiser steps.
        model: configuration of the model.
        labels: classes of the model.
        normalization: normalisation of the input.
        class_weights: class weights of the loss, if any.
        batching: images per process and step, processes, and accumulated batches.
        data: fingerprint of the training images, if any.
    """

    path: Path
    note: str | None
    step: int
    model: Config
    labels: LabelMap
    normalization: Normalization
    class_weights: tuple[float, ...] | None
    batching: Batching
    data: Mapping[str, Any] | None

    def check(
        self, *, labels: LabelMap, batching: Batching, data: Mapping[str, Any] | None, accept_changed_data: bool
    ) -> None:
        """Check that data and batches are the same as in the checkpoint.

        Raises:
            WeightsError: if the classes differ.
            ConfigError: if the number of images per step differs, which would change the position in the epoch.
            DataError: if the training images differ.
        """
        if labels.names != self.labels.names:
            raise WeightsError(
                f"checkpoint {self.path} has the classes {', '.join(self.labels.names)}",
                expected=f"those of the data: {', '.join(labels.names)}",
            )
        if batching.key != self.batching.key:
            raise ConfigError(
                f"{batching}",
                expected=f"as in checkpoint {self.path}: {self.batching}",
                remedy="with another number of processes, set data.batch_size to keep the product",
            )
        if data != self.data and not accept_changed_data:
            counts = [each["records"] if each else 0 for each in (data, self.data)]
            raise DataError(
                f"the {counts[0]} training images differ from the {counts[1]} images of checkpoint {self.path} "
                "in names or file sizes",
                expected="the same images",
                remedy="add --run.accept_changed_data true if this is intended",
            )


def read_resumption(path: Path, task: Task, config: type[Config]) -> Resumption[Config]:
    """Read a checkpoint for resumption, or the previous one if it is damaged.

    Raises:
        WeightsError: if both are damaged, or the checkpoint has another task.
    """
    sound, note = sound_checkpoint(path)
    checkpoint = read_checkpoint(sound)
    state = checkpoint[STATE_KEY]
    trained = state.get("task", "segmentation")  # the only task in earlier versions
    if trained != task:
        raise WeightsError(
            f"checkpoint {sound} has the task {trained}", expected=task, remedy="use the run's own config.yaml"
        )
    try:
        weights = checkpoint["state_dict"].get(CLASS_WEIGHTS)
        return Resumption(
            path=sound,
            note=note,
            step=int(checkpoint["global_step"]),
            model=from_plain(config, state["model"], "model"),
            labels=LabelMap.from_dict(state["labels"]),
            normalization=from_plain(Normalization, state["normalization"], "normalization"),
            class_weights=None if weights is None else tuple(weights.tolist()),
            batching=Batching(int(state["batch_size"]), int(state["processes"]), int(state["accumulated"])),
            data=state.get("data"),
        )
    except (KeyError, TypeError, XsegError) as error:
        raise WeightsError(f"checkpoint {sound}: {error}", expected="a checkpoint of this version of xseg") from error
