"""Options of a training, except the arguments of Lightning's Trainer. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from xseg.data.options import ClassDataOptions, DataOptions
from xseg.files.objects import absolute_class_paths
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions
from xseg.training.options.task import LearningOptions
from xseg.types import Task

Model = TypeVar("Model", bound=LearningOptions, covariant=True)
Data = TypeVar("Data", bound=DataOptions | ClassDataOptions, covariant=True)


@dataclass(frozen=True)
class TrainRequest(Generic[Model, Data]):
    """Options of a training, except those of Lightning's Trainer; `task` determines the types of `model` and `data`."""

    task: Task
    model: Model
    data: Data
    run: RunDirectory
    options: RunOptions
    resume: Path | None
    overwrite: bool
    seed: int

    def to_config(self, trainer: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options in the format of `--config`, with absolute paths.

        Args:
            trainer: arguments of the Trainer.
        """
        model, data = asdict(self.model), asdict(self.data)
        splits = data.get("layout", {}).get("splits", {})
        for group, name in ((data, "root"), (splits, "folds"), (model, "encoder_weights"), (model, "start_from")):
            path = group.get(name)
            if path and Path(path).exists():
                group[name] = str(Path(path).absolute())
        plain = _listed(
            {
                "task": self.task,
                "output_dir": str(self.run.path.absolute()),
                "resume": None,
                "overwrite": False,
                "seed_everything": self.seed,
                "model": model,
                "data": data,
                "run": asdict(self.options),
                "trainer": dict(trainer),
            }
        )
        values: dict[str, Any] = absolute_class_paths(plain)
        return values


def _listed(value: Any) -> Any:
    """Replace tuples by lists, as YAML has no tuples."""
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value
