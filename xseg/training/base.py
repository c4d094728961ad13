"""Base class of training tasks: optimiser, schedule, frozen parts, mean losses and checkpoint state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, TypeAlias

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, distributed
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from xseg.bundles.bundle import Bundle
from xseg.data.loading.datamodule import RecordData
from xseg.files.objects import is_class_path
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.scores import ClassificationScores, Scores
from xseg.training.batch_norm import normalization_layers
from xseg.training.checkpoints.io import STATE_KEY
from xseg.training.objective import AuxiliaryHead
from xseg.training.optimizers import Network, build_optimizer, build_schedule, encoder_blocks, rate_factor
from xseg.training.options.task import LearningOptions
from xseg.training.validation_counts import RunningMean
from xseg.types import Task

Batch: TypeAlias = dict[str, Any]


class BaseTask(LightningModule, ABC):
    """A model with its optimiser and schedule; subclasses define loss and scores.

    Logs lr and lr/PART at every step, and train/loss, val/loss and the scores once per epoch.

    Args:
        options: learning options.
        labels: classes of the data set.
        normalization: normalisation of the images, saved with the weights.
        model: network.
        auxiliary: auxiliary head to be trained with the model; None for none.

    Attributes:
        main_score: logged name of the score that determines the best epoch by default.
        task: name of the task.
        unit: unit of a prediction, such as "pixel" or "image".
        balancing: remedy if one class dominates the others.
        datamodule: class of the data module whose position in an epoch is saved in checkpoints.
        scores: scores of the last validation.
        statistics_frozen: whether the encoder's normalisation statistics are frozen; set before training.
        batch_size: images per step and process, for rates that depend on it; set before training.
        identity: further values for checkpoints, to check later whether they fit; set before training.
    """

    main_score: ClassVar[str]
    task: Task
    unit: ClassVar[str]
    balancing: ClassVar[str]
    datamodule: ClassVar[type[RecordData[Any, Any]]]
    options: LearningOptions
    model: Network
    scores: Scores | ClassificationScores | None

    def __init__(
        self,
        options: LearningOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        model: Network,
        auxiliary: AuxiliaryHead | None = None,
    ) -> None:
        super().__init__()
        self.options, self.labels, self.normalization = options, labels, normalization
        self.batch_size = 1
        self.identity: Mapping[str, Any] = {}
        self.model, self.auxiliary, self.scores = model, auxiliary, None
        self.preprocessing: dict[str, Any] = {}
        for block in encoder_blocks(model)[: options.freeze_encoder_blocks]:
            block.requires_grad_(False)
        self.mean_loss, self.validation_loss = RunningMean(), RunningMean()
        self.statistics_frozen = options.batch_norm == "frozen"
        self._restored_means: dict[str, Sequence[float]] = {}
        self._epoch_done = False

    @abstractmethod
    def training_loss(self, batch: Batch) -> Tensor:
        """Return the loss of a training batch, a scalar."""

    @abstractmethod
    def trial_batch(self, count: int, size: tuple[int, int], device: torch.device) -> Batch:
        """Return a training batch with a number and size of images, to test the memory."""

    @abstractmethod
    def score_names(self) -> list[str]:
        """Return the logged names of all validation scores, the main one first."""

    @abstractmethod
    def compute_scores(self) -> None:
        """Compute the scores of a validation from the counts of all processes, and reset the counts."""

    @abstractmethod
    def validation_scores(self) -> dict[str, float | None]:
        """Return the scores of the last validation by the names in `score_names`; None for undefined scores."""

    @abstractmethod
    def unloaded_model(self) -> Network:
        """Return a model like the task's, with other weights."""

    def confusion_counts(self) -> Sequence[Sequence[int]]:
        """Return the counts of the last validation per label (row) and prediction (column)."""
        return () if self.scores is None else self.scores.confusion

    def bundle(self, model: Network, provenance: Mapping[str, Any]) -> Bundle[Network]:
        """Return the bundle of a model with the weights of this training."""
        about = (self.preprocessing, self.task, self.thresholds)
        return Bundle(model, self.labels, self.normalization, provenance, *about)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Decision thresholds chosen in the last validation; empty for none."""
        return ()

    @property
    def training_means(self) -> dict[str, RunningMean]:
        """Running means over training batches, by name."""
        return {"loss": self.mean_loss}

    @property
    def loss_parts(self) -> Mapping[str, Tensor]:
        """Unweighted losses of the last batch by name, if the loss is a sum of several."""
        return {}

    @property
    def images_per_step(self) -> int:
        """Number of images per optimiser step, over all processes and accumulated batches."""
        return self.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches

    @property
    def encoder_rests(self) -> bool:
        """Whether the encoder is frozen in this epoch."""
        return self.current_epoch < self.options.freeze_encoder_epochs

    def measured_in_training(self) -> dict[str, float | None]:
        """Return the means of the epoch so far by logged name; all processes must call this together."""
        means = {f"train/{name}": mean.compute() for name, mean in self.training_means.items()}
        return {name: None if math.isnan(value) else value for name, value in means.items()}

    def measured(self) -> dict[str, float | None]:
        """Return loss and scores of the last validation by logged name; empty before the first one."""
        scores = self.validation_scores()
        return {"val/loss": float(self.trainer.callback_metrics["val/loss"]), **scores} if scores else {}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, ...) of normalised images (N, C, H, W)."""
        if self.options.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def train(self, mode: bool = True) -> BaseTask:
        """Switch between training and evaluation mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if mode:
            resting = self._trainer is not None and self.encoder_rests
            blocks = encoder_blocks(self.model)
            frozen = blocks if self.statistics_frozen or resting else blocks[: self.options.freeze_encoder_blocks]
            for layer in (layer for block in frozen for layer in normalization_layers(block)):
                layer.eval()  # frozen statistics; scale and shift still learn, as in TF DeepLab
        return self

    def on_fit_start(self) -> None:
        """Compile the network, if requested; its averaged copy is not compiled."""
        if self.options.compile:
            self.model.compile()

    def on_train_start(self) -> None:
        """Set the rates by the current schedule; a checkpoint of a shorter training has other rates, 0 at its end."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, LambdaLR):
            groups = schedule.optimizer.param_groups
            for group, rate, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
                group["lr"] = rate * factor(schedule.last_epoch)
        for mean in self.training_means.values():
            mean.reset()
        if self.global_rank == 0:
            for name, sums in self._restored_means.items():
                self.training_means[name].resume_from(sums)
        self.on_train_epoch_start()  # a resumed epoch has no start

    def on_train_epoch_start(self) -> None:
        """Set the training mode of all layers."""
        self._epoch_done = False
        self.train()
        if self.options.freeze_encoder_epochs and self.trainer.world_size == 1:
            # saves the backward pass; several processes must keep the parameters from before the first step
            for block in encoder_blocks(self.model)[self.options.freeze_encoder_blocks :]:
                block.requires_grad_(not self.encoder_rests)

    def on_before_optimizer_step(self, _optimizer: Optimizer) -> None:
        """Remove the gradients of a frozen encoder, so that not even its momentum changes."""
        if self.encoder_rests:
            for parameter in self.model.encoder.parameters():
                parameter.grad = None

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch; checkpoints saved now have no epoch to resume."""
        for name, value in self.measured_in_training().items():
            if value is not None:
                self.log(name, value)
        for mean in self.training_means.values():
            mean.reset()
        self._epoch_done = True

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self.training_loss(batch)
        self.mean_loss.update(loss.detach(), len(batch["image"]))
        self.log("loss", loss.detach(), prog_bar=True, logger=False, on_step=True, on_epoch=False)
        self._log_rates()
        return loss

    def _log_rates(self) -> None:
        """Log the highest rate, and the rate of each part."""
        rates: dict[str, float] = {}
        for group in (group for optimizer in self.trainer.optimizers for group in optimizer.param_groups):
            for name in ("lr", f"lr/{group['name'].partition('/')[0]}"):
                rates[name] = max(rates.get(name, 0.0), float(group["lr"]))
        self.log_dict(rates, on_step=True, on_epoch=False)

    def on_validation_epoch_start(self) -> None:
        """Average the running statistics over processes, each of which has processed its own images."""
        self.validation_loss.reset()
        if distributed.is_initialized():
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        """Compute loss and scores, and log defined ones."""
        self.log("val/loss", self.validation_loss.compute())
        self.compute_scores()
        for name, value in self.validation_scores().items():
            if value is not None:
                self.log(name, value, prog_bar=name == self.main_score)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser, and the schedule that updates its rates at every step."""
        options = self.options.optimizer
        scale = 1.0 if options.reference_batch is None else self.images_per_step / options.reference_batch
        optimizer = build_optimizer(self.model, options, auxiliary=self.auxiliary, scale=scale)
        steps = int(min(self.trainer.estimated_stepping_batches, 2**62))  # endless training has infinite steps
        schedule: LRScheduler
        if is_class_path(self.options.schedule.name):
            schedule = build_schedule(optimizer, self.options.schedule, steps=steps)
        else:
            batches = max(1, int(min(self.trainer.num_training_batches, 2**62)))
            highest = max(options.lr, options.encoder_lr or 0.0) if options.lr == 0 else options.lr
            factor = partial(
                rate_factor,
                options=self.options.schedule,
                steps=steps,
                lr=highest * scale,
                steps_per_epoch=batches / self.trainer.accumulate_grad_batches,
                images_per_step=self.images_per_step,
            )
            schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description of the model and the data, and the means of the epoch so far."""
        means = {f"epoch_{name}": mean.so_far() for name, mean in self.training_means.items()}
        checkpoint[STATE_KEY] = {
            "task": self.task,
            "model": asdict(self.model.config),
            "labels": self.labels.to_dict(),
            "normalization": asdict(self.normalization),
            "batch_size": self.batch_size,
            "processes": self.trainer.world_size,
            "accumulated": self.trainer.accumulate_grad_batches,
            **{name: [0.0, 0.0] if self._epoch_done else sums for name, sums in means.items()},
            **self.identity,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the means of the epoch so far, and resume the data after the same batch.

        The data module counts the images of one process, whose number per step changes with the number of processes.
        """
        state = checkpoint[STATE_KEY]
        self._restored_means = {name: state[f"epoch_{name}"] for name in self.training_means}
        data = checkpoint.get(self.datamodule.__qualname__)
        if data:
            data["position"] = data["position"] // state["batch_size"] * self.batch_size
