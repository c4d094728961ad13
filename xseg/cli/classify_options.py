"""The options of `xseg train` for classification: read, checked and explained without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser, Namespace

from xseg.classification.options import ClassifierOptions
from xseg.cli.train_options import known_options, parse, read_config, refuse_unknown_options
from xseg.data.options import ClassDataOptions
from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory

TASK = "classification"
PROGRAM = "xseg train"
DESCRIPTION = """Train a classifier on folders of classes. Later --config files override earlier ones, and options
override files; `task: classification` in one of them, or --task classification, is what asks for a classifier."""
USAGE = f"{PROGRAM} --task {TASK} [--config FILE ...] [--output_dir RUN] [--a.b value ...]"


@dataclass(frozen=True)
class TrainerOptions:
    """What of Lightning's Trainer a classification can choose.

    Args:
        max_epochs: number of times that training sees every image.
        accelerator: "auto", "cpu" or "gpu".
        devices: number of them, or "auto".
        strategy: "auto", or "ddp" for several devices.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        accumulate_grad_batches: batches per optimiser step.
        gradient_clip_val: largest norm of the gradient; null for any.
        check_val_every_n_epoch: epochs between validations.
        sync_batchnorm: whether normalisations see the batches of all devices.
        benchmark: let cuDNN try which algorithm is fastest.
        log_every_n_steps: steps between lines of TensorBoard's curves.

    Raises:
        ConfigError: if a number is out of range.
    """

    max_epochs: int = 50
    accelerator: str = "auto"
    devices: int | str = "auto"
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    check_val_every_n_epoch: int = 1
    sync_batchnorm: bool = False
    benchmark: bool = False
    log_every_n_steps: int = 50

    def __post_init__(self) -> None:
        for name in ("max_epochs", "accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name}={getattr(self, name)}", expected="1 or more")


@dataclass(frozen=True)
class ClassifyRequest:
    """What the user asked for.

    Args:
        model: the classifier and how it learns.
        data: the data.
        trainer: how long, and on what.
        run: where everything is written.
        resume: the checkpoint to go on from.
        overwrite: whether an older run in the same folder is replaced.
        seed: of every random choice.
    """

    model: ClassifierOptions
    data: ClassDataOptions
    trainer: TrainerOptions
    run: RunDirectory
    resume: Path | None
    overwrite: bool
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return all options as `--config` takes them; folders and files as absolute paths."""
        model, data = asdict(self.model), asdict(self.data)
        data["root"] = str(Path(data["root"]).absolute())
        weights = model["encoder_weights"]
        if weights is not None and Path(weights).exists():
            model["encoder_weights"] = str(Path(weights).absolute())
        values: dict[str, Any] = {
            "task": TASK,
            "seed_everything": self.seed,
            "output_dir": str(self.run.path.absolute()),
            "model": model,
            "data": data,
            "trainer": asdict(self.trainer),
        }
        plain: dict[str, Any] = _plain(values)
        return plain

    def as_yaml(self) -> str:
        """Return all options as a file for `--config`."""
        return yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """Return tuples as lists, which YAML has."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def asks_for_classification(arguments: Sequence[str]) -> bool:
    """Return whether a command line of `xseg train`, or the last of its files to say so, names this task.

    Raises:
        ConfigError: if a file cannot be read.
    """
    task = ""
    following = [*arguments, ""][1:]
    for argument, after in zip(arguments, following, strict=True):
        name, _, value = argument.partition("=")
        if name == "--task":
            return (value or after) == TASK
        if name == "--config":
            task = str(read_config(value or after).get("task", task))
    return task == TASK


def build_parser() -> ArgumentParser:
    """Return the parser; quick to build."""
    parser = ArgumentParser(prog=PROGRAM, usage=USAGE, description=DESCRIPTION, exit_on_error=False)
    parser.add_argument("--config", action="config", help="a YAML file of options; may be given several times")
    parser.add_argument("--task", type=Literal["classification"], default=TASK, help="what is trained")
    parser.add_argument("--output_dir", type=str, default="runs/classify", help="the folder that receives the run")
    parser.add_argument("--resume", type=str | None, default=None, help="a run's last.ckpt, to go on from there")
    parser.add_argument("--overwrite", action="store_true", help="replace an older run in output_dir")
    parser.add_argument("--seed_everything", type=int, default=0, help="seed of every random choice, 0 or more")
    parser.add_class_arguments(ClassifierOptions, "model")
    parser.add_class_arguments(ClassDataOptions, "data")
    parser.add_class_arguments(TrainerOptions, "trainer")
    return parser


def parse_request(arguments: Sequence[str]) -> ClassifyRequest:
    """Read and check a command line.

    Raises:
        ConfigError: if an option is unknown, has a wrong type or value, or a file is missing.
    """
    parser = build_parser()
    refuse_unknown_options(arguments, known_options(parser))
    config: Namespace = parse(parser, [*arguments])
    if config.resume is not None and not Path(config.resume).is_file():
        raise ConfigError(f"resume={config.resume} is not there", expected="the last.ckpt of a run")
    if config.resume is not None and config.overwrite:
        raise ConfigError("both resume and overwrite", expected="one of them", remedy="going on removes nothing")
    if config.seed_everything < 0:
        raise ConfigError(f"seed_everything={config.seed_everything}", expected="0 or more")
    made = parser.instantiate(config)
    return ClassifyRequest(
        model=made.model,
        data=made.data,
        trainer=made.trainer,
        run=RunDirectory(Path(config.output_dir)),
        resume=None if config.resume is None else Path(config.resume),
        overwrite=config.overwrite,
        seed=config.seed_everything,
    )
