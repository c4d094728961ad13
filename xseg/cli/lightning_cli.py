"""`xseg train` through Lightning: the Trainer's options, and the objects that are made of all options."""

from __future__ import annotations

import logging
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from xseg.cli.train_options import PROGRAM, TrainRequest, add_options, known_options, parse, refuse_unknown_options
from xseg.data.datamodule import SegmentationData
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Reader
from xseg.errors import WeightsError
from xseg.normalization import Normalization
from xseg.training.callbacks import Row, epoch_callbacks
from xseg.training.checkpoint_io import AtomicCheckpointIO
from xseg.training.class_weights import class_weights, count_pixels
from xseg.training.task import SegmentationTask

TRAINER_DEFAULTS = {"max_epochs": 50, "num_sanity_val_steps": 0, "enable_model_summary": False}
IRRELEVANT_WARNINGS = (
    r".*does not have many workers.*",  # the user chose data.workers
    r".*exists and is not empty.*",  # the run directory is checked before
    r".*smaller than the logging interval.*",  # the table has a row per epoch
    r".*in eval mode at the start of training.*",  # normalisation that the user froze
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*LightningCLI's args parameter is intended.*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",  # float16 skips its first steps on purpose
    r".*`instantiate_classes` was deprecated.*",
)
Tell = Callable[[Row, int | None, float | None], None]


def quiet_lightning() -> None:
    """Silence hints about products and choices that were made on purpose; real warnings stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in IRRELEVANT_WARNINGS:
        warnings.filterwarnings("ignore", pattern)


class TrainCLI(LightningCLI):
    """Lightning's command line with our model and data options.

    Args:
        arguments: the command line.
        request: the same command line as far as it is ours.
        tell: called after every epoch; see `EpochTable`.
    """

    def __init__(self, arguments: Sequence[str], request: TrainRequest, tell: Tell | None = None) -> None:
        self.request, self.tell = request, tell
        super().__init__(
            save_config_callback=None,
            parser_kwargs={"prog": PROGRAM, "exit_on_error": False},
            args=[*arguments],
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add nothing: the seed is among our options."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the Trainer's options and ours."""
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()})
        add_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse with errors as one line."""
        refuse_unknown_options(args, known_options(parser))
        self.config = parse(parser, args)

    def instantiate_classes(self) -> None:
        """Make the task, the data and the Trainer."""
        request = self.request
        self.config_init = self.parser.instantiate(self.config)
        self.reader = create_reader(request.data)
        normalization = normalization_for(self.reader)
        self.datamodule = SegmentationData(request.data, normalization, request.seed)
        # a resumed training takes its weights from the checkpoint: the encoder's file need not be there any more
        options = request.task if request.resume is None else replace(request.task, encoder_weights=None)
        self.model = SegmentationTask(
            options,
            self.reader.labels,
            normalization,
            in_channels=self.reader.channels,
            class_weights=measured_class_weights(self.reader, request),
        )
        self.trainer = self.instantiate_trainer(**self._trainer_arguments())

    def _trainer_arguments(self) -> dict[str, Any]:
        """Return what makes the Trainer write into the run directory, beside what the user chose."""
        request, chosen = self.request, self.config_init["trainer"]
        terminal = sys.stdout.isatty() and chosen["enable_progress_bar"] is not False
        ours = epoch_callbacks(
            request.run,
            seed=request.seed,
            ema_decay=request.task.ema_decay,
            provenance={"encoder_weights": request.task.encoder_weights, "data": request.data.reader},
            tell=None if terminal else self.tell,  # a bar shows the same
        )
        theirs, plugins = chosen["callbacks"] or [], chosen["plugins"] or []
        logger = chosen["logger"]
        if logger is None or logger is True:
            logger = TensorBoardLogger(request.run.path, name=request.run.tensorboard.name, version="")
        return {
            "callbacks": [*(theirs if isinstance(theirs, list) else [theirs]), *[RichProgressBar()] * terminal, *ours],
            "logger": logger,
            "enable_progress_bar": terminal,
            "plugins": [*(plugins if isinstance(plugins, list) else [plugins]), AtomicCheckpointIO()],
            "default_root_dir": request.run.path,
            "use_distributed_sampler": False,  # the data's own sampler knows about ranks
        }

    def resolved_config(self) -> str:
        """Return all options as YAML that `--config` takes; folders and files as absolute paths."""
        values: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_unset=False, skip_validation=True))
        values.update(output_dir=str(Path(values["output_dir"]).absolute()), resume=None, overwrite=False)
        for group, name in (("data", "root"), ("model", "encoder_weights")):
            path = values[group][name]
            if path and Path(path).exists():
                values[group][name] = str(Path(path).absolute())
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    def fit(self) -> None:
        """Train, or go on training.

        Raises:
            WeightsError: if the checkpoint to resume from is damaged or of another model.
            KeyboardInterrupt: if the user stopped it; the last finished epoch's checkpoint stays.
        """
        resume = self.request.resume
        if resume is not None:
            check_checkpoint(resume, self.model)
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=resume, weights_only=True)
        except SystemExit as stop:  # what Lightning makes of Ctrl+C
            if self.trainer.interrupted:
                raise KeyboardInterrupt from stop
            raise
        finally:
            signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves Ctrl+C switched off


def normalization_for(reader: Reader) -> Normalization:
    """Return the normalisation to [-1, 1] of what a reader's first training image holds.

    Raises:
        DataError: if it cannot be read.
    """
    image = reader.read(reader.records("train")[0]).image
    maximum = float(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0
    return Normalization.for_channels(reader.channels, maximum)


def measured_class_weights(reader: Reader, request: TrainRequest) -> tuple[float, ...] | None:
    """Return the weight of each class in the loss; masks are read only if they are asked for."""
    weighting = request.task.loss.class_weights
    if weighting == "none":
        return None
    return class_weights(count_pixels(reader, threads=max(1, request.data.workers)).tolist(), weighting)


def check_checkpoint(path: Path, task: SegmentationTask) -> None:
    """Refuse a checkpoint that does not fit, before work begins.

    Raises:
        WeightsError: if it cannot be read without unpickling code, or holds the weights of another model.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        got = f"checkpoint {path} cannot be read ({type(error).__name__})"
        raise WeightsError(got, expected="the last.ckpt of a run") from error
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in task.state_dict().items()}
    differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if differing:
        raise WeightsError(
            f"checkpoint {path} is of another model: {len(differing)} tensors differ, the first is {differing[0]} "
            f"with {found.get(differing[0])}",
            expected=f"{wanted.get(differing[0])}",
            remedy="give the run's own config.yaml with --config",
        )
