"""Resuming from a checkpoint: what it holds, and whether it fits what is asked for now."""

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
    """How many images a step sees.

    Args:
        batch_size: images per process and batch.
        processes: that train together.
        accumulated: batches per step.
    """

    batch_size: int
    processes: int
    accumulated: int

    @property
    def key(self) -> tuple[int, int]:
        """What has to stay for the same batches in the same order."""
        return self.batch_size * self.processes, self.accumulated

    @property
    def images_per_step(self) -> int:
        """Images that the optimiser sees at once."""
        return self.batch_size * self.processes * self.accumulated

    def __str__(self) -> str:
        """Return the numbers in words."""
        return f"{self.batch_size} images x {self.processes} processes x {self.accumulated} accumulated batches"


@dataclass(frozen=True)
class Resumption(Generic[Config]):
    """A checkpoint to resume from.

    Args:
        path: the file, which is whole.
        note: what was wrong with the one that was asked for, if it is not that; None if it is.
        step: number of optimiser steps taken.
        model: what its model is made of.
        labels: its classes.
        normalization: of its input.
        class_weights: those of its loss, if it has any.
        batching: images per process and step, processes, and batches that are accumulated.
        data: fingerprint of the training images; None if it has none.
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
        self,
        *,
        labels: LabelMap,
        batching: Batching,
        data: Mapping[str, Any] | None,
        accept_changed_data: bool,
    ) -> None:
        """Refuse to resume with something else than it was.

        Raises:
            WeightsError: if the classes differ.
            ConfigError: if a step would see another number of images: its place in the epoch would be another.
            DataError: if the training images are not the same.
        """
        if labels.names != self.labels.names:
            raise WeightsError(
                f"checkpoint {self.path} knows the classes {', '.join(self.labels.names)}",
                expected=f"the data's: {', '.join(labels.names)}",
            )
        if batching.key != self.batching.key:
            raise ConfigError(
                f"{batching}",
                expected=f"as in checkpoint {self.path}: {self.batching}",
                remedy="with other processes, set data.batch_size so that the product stays",
            )
        if data != self.data and not accept_changed_data:
            counts = [each["records"] if each else 0 for each in (data, self.data)]
            raise DataError(
                f"the {counts[0]} training images are not the {counts[1]} that checkpoint {self.path} has learnt from: "
                "names or file sizes differ",
                expected="the same",
                remedy="add --run.accept_changed_data true if this is meant",
            )


def read_resumption(path: Path, task: Task, config: type[Config]) -> Resumption[Config]:
    """Read what is needed to resume from a checkpoint, or from the one before it if that is torn.

    Raises:
        WeightsError: if neither is a whole checkpoint of a training, or it is of another task.
    """
    sound, note = sound_checkpoint(path)
    checkpoint = read_checkpoint(sound)
    state = checkpoint[STATE_KEY]
    trained = state.get("task", "segmentation")  # the only one that earlier versions could resume so
    if trained != task:
        raise WeightsError(
            f"checkpoint {sound} is of {trained}", expected=task, remedy="give the run's own config.yaml"
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
        raise WeightsError(f"checkpoint {sound}: {error}", expected="one that this version of xseg wrote") from error
