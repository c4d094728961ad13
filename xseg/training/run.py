"""`xseg train` through Lightning: the Trainer's options, and the objects that are made of all options."""

from __future__ import annotations

import logging
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

from xseg.cli.train_options import PROGRAM, TrainRequest, add_options, known_options, parse, refuse_unknown_options
from xseg.data.loading.datamodule import SegmentationData
from xseg.data.options import DataOptions
from xseg.data.sample import Reader
from xseg.doctor.statistics import normalization_of
from xseg.errors import ConfigError, XsegError
from xseg.files.objects import absolute_class_paths
from xseg.images.normalization import Normalization
from xseg.training.batch_norm import SharedNormalization, StatisticsChoice, choose_statistics
from xseg.training.batch_size import find_batch_size
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.best_bundles import BestBundles
from xseg.training.callbacks.epoch_table import Tell
from xseg.training.checkpoints.io import AtomicCheckpointIO
from xseg.training.checkpoints.resumption import Batching, read_resumption
from xseg.training.class_weights import class_weights
from xseg.training.construction import normalization_for
from xseg.training.environment import data_fingerprint
from xseg.training.segmentation import SegmentationTask

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
    r".*your dataloader is not resumable.*",  # its sampler is, by the datamodule's state
    r".*recommended to use `self\.log\(.*sync_dist=True.*",  # what is logged is the same in every process
    r".*Grad strides do not match bucket view strides.*",  # depthwise kernels have two names for one layout
)
LOST_PROCESS = re.compile(r"gloo|nccl|connection (closed|reset)|timed out", re.IGNORECASE)  # as the back ends put it


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
        reader: the data set.
        tell: called after every epoch; see `EpochTable`.
        note: shows a line to the user.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        request: TrainRequest,
        reader: Reader,
        tell: Tell | None = None,
        note: Callable[[str], None] = print,
    ) -> None:
        self.request, self.reader, self.tell, self.note = request, reader, tell, note
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
        self.config_init = self.parser.instantiate(self.config)
        request = self.request
        self.resumption = None if request.resume is None else read_resumption(request.resume)
        self.fingerprint = data_fingerprint(self.reader, "train")
        self.trainer = self._trainer()
        if request.task.ema_decay is not None and isinstance(self.trainer.strategy, FSDPStrategy):
            got = "model.ema_decay with trainer.strategy fsdp, which leaves no process with all weights to average"
            raise ConfigError(got, expected="one of them", remedy="set model.ema_decay null")
        limit_waiting(self.trainer, request.options.process_timeout)
        self.datamodule = SegmentationData(request.data, self._normalization(), request.seed, reader=self.reader)
        self.datamodule.setup("fit")  # looks at the files: wrong ones are reported before anything is written
        self.model = self._task(request.data)
        self._refuse_unknown_monitor()
        if request.options.find_batch_size:
            self._find_batch_size()
        if self.resumption is not None:
            self.resumption.check(
                labels=self.reader.labels,
                batching=self.batching,
                data=self.fingerprint,
                accept_changed_data=request.options.accept_changed_data,
            )

    def _trainer(self) -> Trainer:
        """Make the Trainer.

        Raises:
            ConfigError: if its options fit neither each other nor this machine.
        """
        try:
            return self.instantiate_trainer(**self._trainer_arguments())
        except XsegError:
            raise
        except (MisconfigurationException, ImportError, ValueError, RuntimeError) as error:
            accelerator = self.config_init["trainer"]["accelerator"]
            missing = isinstance(accelerator, str) and re.search(
                r"No supported|can not run on your system|torch_xla", str(error)
            )
            if missing:
                raise ConfigError(
                    f"trainer.accelerator={accelerator}: this machine has none",
                    expected="auto for the best that is here, or cpu",
                ) from error
            raise ConfigError(f"trainer: {error}") from error

    def _refuse_unknown_monitor(self) -> None:
        """Check run.monitor before an older run is overwritten.

        Raises:
            ConfigError: with the nearest name.
        """
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]  # Lightning adds it
            if isinstance(callback, BestBundles):
                callback.setup(self.trainer, self.model, "fit")

    def _normalization(self) -> Normalization:
        """Return the normalisation of the images, of a resumed training the checkpoint's."""
        data = self.request.data
        if self.resumption is not None:
            return self.resumption.normalization
        found = normalization_of(self.reader, data, workers=data.workers)
        if data.normalization == "auto":
            return found
        return normalization_for(self.request.task, found)

    @property
    def batching(self) -> Batching:
        """How many images a step sees."""
        return Batching(self.request.data.batch_size, self.trainer.world_size, self.trainer.accumulate_grad_batches)

    def _task(self, data: DataOptions) -> SegmentationTask:
        """Make the task; of a resumed training without weights, which follow."""
        request, resumption = self.request, self.resumption
        weights = self._class_weights() if resumption is None else resumption.class_weights
        task = SegmentationTask(
            request.task,
            self.reader.labels,
            self.datamodule.normalization,
            in_channels=self.reader.channels,
            class_weights=weights,
            batch_size=data.batch_size,
            restored=None if resumption is None else resumption.model,
            identity={"data": self.fingerprint},
        )
        if self.trainer.precision == "64-true":
            task.double()  # Lightning does so only after loading a checkpoint, which is rounded then
        self.statistics = self._statistics(data.batch_size)
        task.statistics_frozen = self.statistics.frozen
        return task

    def _class_weights(self) -> tuple[float, ...] | None:
        """Return the weight of each class in the loss; without weights, no mask is read for them."""
        weighting = self.request.task.loss.class_weights
        if weighting == "none":
            return None
        return class_weights(self.datamodule.class_pixels.sum(axis=0).tolist(), weighting)

    def _statistics(self, batch_size: int) -> StatisticsChoice:
        options, shared = self.request.task, self.config_init["trainer"]["sync_batchnorm"]
        return choose_statistics(
            options,
            pretrained=options.encoder_weights is not None or options.start_from is not None,
            normalised_together=batch_size * (self.trainer.world_size if shared else 1),
        )

    def _find_batch_size(self) -> None:
        """Replace the batch size in the request, the configuration and the task.

        Raises:
            ConfigError: with several processes, whose memory differs, or if no batch fits.
        """
        if self.trainer.world_size > 1:
            got = f"run.find_batch_size with {self.trainer.world_size} processes"
            raise ConfigError(got, expected="one process", remedy="find it with one, then give it by data.batch_size")
        request = self.request
        found = find_batch_size(
            self.model,
            crop=request.data.crop,
            images=len(self.reader.records("train")),
            device=self.trainer.strategy.root_device,
            context=self.trainer.precision_plugin.forward_context,
            budget_gb=request.options.memory_gb,
        )
        self.request = replace(request, data=replace(request.data, batch_size=found))
        self.config["data"]["batch_size"], self.config["run"]["find_batch_size"] = found, False
        self.datamodule.options, self.model.batch_size = self.request.data, found
        self.statistics = self._statistics(found)
        self.model.statistics_frozen = self.statistics.frozen
        self.note(f"data.batch_size={found} is the largest power of two that memory can hold")

    def _trainer_arguments(self) -> dict[str, Any]:
        """Return what makes the Trainer write into the run directory, beside what the user chose."""
        request, chosen = self.request, self.config_init["trainer"]
        terminal = sys.stdout.isatty() and chosen["enable_progress_bar"] is not False
        ours = run_callbacks(
            request.run,
            request.options,
            seed=request.seed,
            ema_decay=request.task.ema_decay,
            provenance={"encoder_weights": request.task.encoder_weights, "data": request.data.reader},
            validation_names=[record.name for record in self.reader.records("val")],
            tell=None if terminal else self.tell,  # a bar shows the same
            note=self.note,
        )
        theirs, plugins = chosen["callbacks"] or [], chosen["plugins"] or []
        return {
            "callbacks": [*(theirs if isinstance(theirs, list) else [theirs]), *[RichProgressBar()] * terminal, *ours],
            "logger": self._loggers(chosen["logger"]),
            "enable_progress_bar": terminal,
            "plugins": [
                *(plugins if isinstance(plugins, list) else [plugins]),
                AtomicCheckpointIO(),
                *[SharedNormalization()] * bool(chosen["sync_batchnorm"]),
            ],
            "default_root_dir": request.run.path,
            "use_distributed_sampler": False,  # the data's own sampler knows about ranks
        }

    def _loggers(self, chosen: Any) -> Any:
        """Return TensorBoard's logger and those that the user chose; none if the user chose none."""
        if chosen is False:
            return False
        # what a killed training logged beyond its last checkpoint is logged again: TensorBoard drops the first time
        begin = None if self.resumption is None else self.resumption.step
        run = self.request.run
        ours = TensorBoardLogger(run.path, name=run.tensorboard.name, version="", purge_step=begin)
        theirs = [] if chosen is None or chosen is True else chosen if isinstance(chosen, list) else [chosen]
        return [ours, *theirs]

    def resolved_config(self) -> str:
        """Return all options as YAML that `--config` takes; folders and files as absolute paths."""
        values: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_unset=False, skip_validation=True))
        values.update(output_dir=str(Path(values["output_dir"]).absolute()), resume=None, overwrite=False)
        for group, name in (("data", "root"), ("model", "encoder_weights"), ("model", "start_from")):
            path = values[group][name]
            if path and Path(path).exists():
                values[group][name] = str(Path(path).absolute())
        return yaml.safe_dump(absolute_class_paths(values), sort_keys=False, allow_unicode=True)

    def fit(self) -> None:
        """Train, or go on training.

        Raises:
            TrainingStopped: if a signal asked for it; last.ckpt is of that moment.
            KeyboardInterrupt: if the user stopped it at once.
            XsegError: if another process is gone.
        """
        checkpoint = None if self.resumption is None else self.resumption.path
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # what Lightning makes of Ctrl+C
            if self.trainer.interrupted:
                raise KeyboardInterrupt from stop
            raise
        except RuntimeError as error:
            if self.trainer.world_size > 1 and LOST_PROCESS.search(str(error)):
                raise XsegError(
                    f"process {self.trainer.global_rank} of {self.trainer.world_size} has lost another one",
                    expected="all of them until the end",
                    remedy="see what the others said, and start all again with --resume auto",
                ) from error
            raise
        finally:
            signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves Ctrl+C switched off
            self._discard_without_a_step()

    def _discard_without_a_step(self) -> None:
        """Remove the files of a new training that ended before its first step: they would refuse the next start."""
        if self.trainer.is_global_zero and self.resumption is None and not self.trainer.global_step:
            self.request.run.discard()


def limit_waiting(trainer: Trainer, seconds: float) -> None:
    """Let processes that wait for another one give up after so long: Lightning's own limit is half an hour."""
    if isinstance(trainer.strategy, DDPStrategy | FSDPStrategy):
        trainer.strategy._timeout = timedelta(seconds=seconds)  # strategies by name take no arguments
