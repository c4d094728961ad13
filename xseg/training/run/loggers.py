"""Lightning's loggers by the names of `run.logger`, and filters for its hints."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import LoggerName, RunOptions

PACKAGES = ("wandb", "mlflow")  # optional, with the names of their loggers
LOGGERS: dict[LoggerName, Callable[[RunDirectory, int | None], Logger]] = {
    # steps after the last checkpoint of a killed training are logged again: TensorBoard drops the first values
    "tensorboard": lambda run, step: TensorBoardLogger(run.path, run.tensorboard.name, version="", purge_step=step),
    # Lightning's file is replaced, so that a resumed training has another one
    "csv": lambda run, step: CSVLogger(
        run.path, name=run.csv.name, version="" if step is None else f"from_step_{step}"
    ),
    "wandb": lambda run, _: WandbLogger(
        run.path.name, run.path, project=os.environ.get("WANDB_PROJECT", "xseg"), group=run.path.name
    ),
    "mlflow": lambda run, _: MLFlowLogger(
        os.environ.get("MLFLOW_EXPERIMENT_NAME", "xseg"),
        run.path.name,
        os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{run.path.absolute()}/mlflow.db"),
    ),
}


def named_loggers(options: RunOptions, run: RunDirectory, *, step: int | None = None) -> Iterator[Logger]:
    """Yield the loggers in the options, for a training that resumes after `step` steps, or a new one.

    Raises:
        ConfigError: if the package of a logger is missing.
    """
    for name in [options.logger] if isinstance(options.logger, str) else options.logger:
        if name in PACKAGES and find_spec(name) is None:
            raise ConfigError(f"run.logger={name} needs {name}, which is not installed", remedy=f"pip install {name}")
        yield LOGGERS[name](run, step)


IRRELEVANT_WARNINGS = (
    r".*does not have many workers.*",  # the user chose data.workers
    r".*exists and is not empty.*",  # the run directory is checked before
    r".*smaller than the logging interval.*",  # the table has a row per epoch
    r".*in eval mode at the start of training.*",  # frozen normalisation
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",  # float16 skips its first steps on purpose
    r".*your dataloader is not resumable.*",  # its sampler is, through the state of the data module
    r".*recommended to use `self\.log\(.*sync_dist=True.*",  # logged values are the same in all processes
    r".*Grad strides do not match bucket view strides.*",  # depthwise kernels have two names for one layout
    r".*GPU available but not used.*",  # the user chose the accelerator
)


def quiet_lightning() -> None:
    """Silence Lightning's hints."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in IRRELEVANT_WARNINGS:
        warnings.filterwarnings("ignore", pattern)
