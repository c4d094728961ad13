"""Training run: data, task and Lightning's Trainer from options, start and end."""

from __future__ import annotations

import re
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

from xseg.data.loading.datamodule import RecordData
from xseg.data.options import ClassDataOptions, DataOptions
from xseg.data.sample import Reader
from xseg.errors import ConfigError, XsegError
from xseg.images.normalization import Normalization
from xseg.models.classifier import ClassifierConfig
from xseg.models.config import ModelConfig
from xseg.training.base import BaseTask
from xseg.training.batch_norm import SharedNormalization, StatisticsChoice, choose_statistics
from xseg.training.batch_size import find_batch_size
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.best_bundles import BestBundles
from xseg.training.callbacks.epoch_table import OnEpoch
from xseg.training.checkpoints.io import AtomicCheckpointIO
from xseg.training.checkpoints.resumption import Batching, Resumption, read_resumption
from xseg.training.environment import data_fingerprint
from xseg.training.options.request import TrainRequest
from xseg.training.options.task import LearningOptions
from xseg.training.run.loggers import named_loggers

LOST_PROCESS = re.compile(r"gloo|nccl|connection (closed|reset)|timed out", re.IGNORECASE)  # messages of the back ends
NO_ACCELERATOR = re.compile(r"No supported|can not run on your system|torch_xla")
Samples = TypeVar("Samples", bound=Reader)
Model = TypeVar("Model", bound=LearningOptions)
Data = TypeVar("Data", DataOptions, ClassDataOptions)
Config = TypeVar("Config", ModelConfig, ClassifierConfig)


class TrainingRun(ABC, Generic[Samples, Model, Data, Config]):
    """Data, task and Trainer of a training.

    Args:
        request: options of the training.
        trainer_options: arguments of Lightning's Trainer.
        reader: reader of the data set.
        on_epoch: function that is called after every epoch; see `EpochTable`.
        on_message: function that shows a line to the user.

    Attributes:
        request: options of the training, with the batch size of the search, if any.
        batching: number of images per step.
        statistics: whether the normalisation statistics of the encoder are frozen, and why.

    Raises:
        XsegError: if the options do not fit each other, the machine, the data or the checkpoint.
    """

    config: ClassVar[type[Any]]  # class of the model configuration in a checkpoint
    main_score: ClassVar[str]

    def __init__(
        self,
        request: TrainRequest[Model, Data],
        trainer_options: Mapping[str, Any],
        reader: Samples,
        *,
        on_epoch: OnEpoch | None = None,
        on_message: Callable[[str], None] = print,
    ) -> None:
        self.request: TrainRequest[Model, Data] = request
        self.reader, self.on_epoch, self.on_message = reader, on_epoch, on_message
        seed_everything(request.seed, workers=True, verbose=False)
        self.resumption: Resumption[Config] | None = None
        if request.resume is not None:
            self.resumption = read_resumption(request.resume, request.task, self.config)
        self.fingerprint = data_fingerprint(reader, "train")
        self.trainer = self._make_trainer(trainer_options)
        if isinstance(self.trainer.strategy, DDPStrategy | FSDPStrategy):  # by name, they accept no arguments
            # the time for which processes wait for each other, which is half an hour in Lightning
            self.trainer.strategy._timeout = timedelta(seconds=request.options.process_timeout)
        resumed = self.resumption
        self.normalization = self.measure_normalization() if resumed is None else resumed.normalization
        self.datamodule = self.make_data()
        self.datamodule.setup("fit")  # checks the files before anything is written
        self.task = self.make_task(self.resumption)
        self.task.batch_size, self.task.identity = request.data.batch_size, {"data": self.fingerprint}
        if self.trainer.precision == "64-true":
            self.task.double()  # Lightning converts only after loading a checkpoint, which would round it
        self._shared = bool(trainer_options["sync_batchnorm"])
        self.statistics = self._freeze_statistics()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]  # Lightning adds it
            if isinstance(callback, BestBundles):
                callback.setup(self.trainer, self.task, "fit")  # before an older run is overwritten
        if request.options.find_batch_size:
            self._find_batch_size()
        self.batching = Batching(
            self.request.data.batch_size, self.trainer.world_size, self.trainer.accumulate_grad_batches
        )
        if self.resumption is not None:
            self.resumption.check(
                labels=reader.labels,
                batching=self.batching,
                data=self.fingerprint,
                accept_changed_data=request.options.accept_changed_data,
            )

    @abstractmethod
    def measure_normalization(self) -> Normalization:
        """Return the normalisation of the images."""

    @abstractmethod
    def make_data(self) -> RecordData[Any, Any]:
        """Return the data module."""

    @abstractmethod
    def make_task(self, resumption: Resumption[Config] | None) -> BaseTask:
        """Return the task, without the weights of a checkpoint, which are loaded later."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """Height and width of a training image in pixels."""

    @property
    @abstractmethod
    def data_name(self) -> str:
        """Name of the data in bundles."""

    @property
    def drawn_images(self) -> list[str]:
        """Names of the validation images; empty if predictions cannot be drawn."""
        return []

    def _make_trainer(self, options: Mapping[str, Any]) -> Trainer:
        given = {**options, **self._trainer_options(options)}
        try:
            trainer = Trainer(**given)
        except (MisconfigurationException, ImportError, ValueError, RuntimeError) as error:
            accelerator = options["accelerator"]
            if isinstance(accelerator, str) and NO_ACCELERATOR.search(str(error)):
                raise ConfigError(
                    f"trainer.accelerator={accelerator}: this machine has none",
                    expected="auto for the best accelerator of this machine, or cpu",
                ) from error
            raise ConfigError(f"trainer: {error}") from error
        if self.request.model.ema_decay is not None and isinstance(trainer.strategy, FSDPStrategy):
            got = "model.ema_decay with trainer.strategy fsdp, which leaves no process with all weights to average"
            raise ConfigError(got, expected="one of them", remedy="set model.ema_decay null")
        return trainer

    def _trainer_options(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the user's Trainer options with those that make it write to the run directory."""
        request = self.request
        terminal: bool = sys.stdout.isatty() and chosen["enable_progress_bar"] is not False
        ours: list[Callback] = run_callbacks(
            request.run,
            request.options,
            seed=request.seed,
            main_score=self.main_score,
            ema_decay=request.model.ema_decay,
            provenance={"encoder_weights": request.model.encoder_weights, "data": self.data_name},
            validation_names=self.drawn_images,
            on_epoch=None if terminal else self.on_epoch,  # a progress bar shows the same
            on_message=self.on_message,
        )
        theirs: Any = chosen["callbacks"] or []
        plugins: Any = chosen["plugins"] or []
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
        """Return the loggers by name and those of the Trainer's arguments; none if these disable logging."""
        if chosen is False:
            return False
        step: int | None = None if self.resumption is None else self.resumption.step
        others: list[Any] = [] if chosen in (None, True) else chosen if isinstance(chosen, list) else [chosen]
        return [*named_loggers(self.request.options, self.request.run, step=step), *others]

    def _freeze_statistics(self) -> StatisticsChoice:
        """Decide whether to freeze the normalisation statistics of the encoder, and set it in the task."""
        options = self.request.model
        choice = choose_statistics(
            options,
            pretrained=options.pretrained,
            normalised_together=self.request.data.batch_size * (self.trainer.world_size if self._shared else 1),
        )
        self.task.statistics_frozen = choice.frozen
        return choice

    def _find_batch_size(self) -> None:
        """Replace the batch size in the request and the task."""
        if self.trainer.world_size > 1:
            got = f"run.find_batch_size with {self.trainer.world_size} processes"
            raise ConfigError(got, expected="one process", remedy="find it with one process, then set data.batch_size")
        request = self.request
        found = find_batch_size(
            self.task,
            crop=self.image_size,
            images=len(self.reader.records("train")),
            device=self.trainer.strategy.root_device,
            context=self.trainer.precision_plugin.forward_context,
            budget_gb=request.options.memory_gb,
        )
        data = replace(request.data, batch_size=found)
        self.request = replace(request, data=data, options=replace(request.options, find_batch_size=False))
        self.datamodule.options, self.task.batch_size = data, found
        self.statistics = self._freeze_statistics()
        self.on_message(f"data.batch_size={found} is the largest power of two that memory can hold")

    def fit(self) -> None:
        """Train, or resume training.

        Raises:
            TrainingStopped: after a signal, with the current state in last.ckpt.
            KeyboardInterrupt: if the user interrupted without saving.
            XsegError: if another process ended.
        """
        checkpoint = None if self.resumption is None else self.resumption.path
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            self.trainer.fit(self.task, datamodule=self.datamodule, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # raised by Lightning after Ctrl+C
            if self.trainer.interrupted:
                raise KeyboardInterrupt from stop
            raise
        except RuntimeError as error:
            if self.trainer.world_size > 1 and LOST_PROCESS.search(str(error)):
                raise XsegError(
                    f"process {self.trainer.global_rank} of {self.trainer.world_size} has lost another process",
                    expected="all processes until the end",
                    remedy="check the messages of the other processes, and start all again with --resume auto",
                ) from error
            raise
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves Ctrl+C disabled
            if self.trainer.is_global_zero and self.resumption is None and not self.trainer.global_step:
                self.request.run.discard()  # files of a training without a step would block the next start
