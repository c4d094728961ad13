"""Options of model and training; the docstrings are the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from xseg.models.config import ModelOptions
from xseg.nn.ablation import Ablation
from xseg.training.options.recipe import LossOptions, OptimizerOptions, ScheduleOptions, require
from xseg.types import Padding

BatchNormPolicy: TypeAlias = Literal["auto", "train", "frozen"]


@dataclass(frozen=True)
class LearningOptions:
    """Training options of all tasks.

    Args:
        encoder_weights: path of the encoder weights, or a name in the catalogue, or for an encoder of SMP one of SMP's
            names, such as imagenet; null for random weights.
        optimizer: optimiser options.
        schedule: learning rate schedule.
        ema_decay: decay of a moving average of the weights, which is validated and saved instead of the last weights;
            null for no average. The average spans about 1 / (1 - decay) steps.
        batch_norm: running means and variances of the encoder: "train" updates them, "frozen" keeps those of the
            encoder weights (TF DeepLab, `fine_tune_batch_norm`); "auto" freezes those of a pretrained encoder if fewer
            than `batch_norm_threshold` images are normalised together. New layers always update theirs.
        batch_norm_threshold: smallest number of images per process and step, times the number of processes with
            `trainer.sync_batchnorm`, at which "auto" updates the pretrained statistics. TF DeepLab recommends 12; on
            CamVid, updating is far better at 8 already (docs/training.md); smaller numbers were not measured.
        batch_norm_momentum: share of a new batch in the running means and variances, above 0 and up to 1; null for the
            default of the model. Short trainings need about 0.1: with 0.01, as in the original Xception, the initial
            values persist for some hundred steps.
        freeze_encoder_epochs: number of first epochs with a frozen encoder.
        freeze_encoder_blocks: number of first encoder blocks to freeze, counting the stem as the first.
        gradient_checkpointing: whether to recompute the encoder blocks in the backward pass, which takes about a third
            more time for a fraction of the memory.
        compile: whether to use `torch.compile`, which makes steps faster, after a minute or more at the first step.
        channels_last: whether to keep images as (N, H, W, C) in memory, which is faster on most hardware.

    Raises:
        ConfigError: if a value is out of range.
    """

    encoder_weights: str | None = None
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    ema_decay: float | None = None
    batch_norm: BatchNormPolicy = "auto"
    batch_norm_threshold: int = 8
    batch_norm_momentum: float | None = None
    freeze_encoder_epochs: int = 0
    freeze_encoder_blocks: int = 0
    gradient_checkpointing: bool = False
    compile: bool = False
    channels_last: bool = True

    def __post_init__(self) -> None:
        require(self.ema_decay is None or 0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay}", "0 to 1, or null")
        momentum = self.batch_norm_momentum
        require(momentum is None or 0 < momentum <= 1, f"batch_norm_momentum={momentum}", "above 0 and up to 1")
        for name in ("batch_norm_threshold", "freeze_encoder_epochs", "freeze_encoder_blocks"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")

    @property
    def pretrained(self) -> bool:
        """Whether the encoder starts from the weights of an earlier training."""
        return self.encoder_weights is not None


@dataclass(frozen=True)
class TaskOptions(ModelOptions, LearningOptions):  # jsonargparse finds types in the first base's module
    """Segmentation model and training; the data determines classes and input channels.

    Args:
        start_from: run, bundle or Hub id of a model of the same architecture, trained on other data, as initial
            weights; the head keeps the weights of classes with the same name. Null for a new model.
        loss: loss options.

    Raises:
        ConfigError: if a value is out of range.
    """

    start_from: str | None = None
    loss: LossOptions = field(default_factory=LossOptions)

    def __post_init__(self) -> None:
        LearningOptions.__post_init__(self)
        ModelOptions.__post_init__(self)
        both = self.start_from is not None and self.encoder_weights is not None
        require(not both, "start_from and encoder_weights", "one of them")
        hooked = self.compile and self.loss.auxiliary > 0
        require(not hooked, "compile=true with loss.auxiliary above 0", "one of them")

    @property
    def pretrained(self) -> bool:
        """Whether the encoder starts from the weights of an earlier training."""
        return super().pretrained or self.start_from is not None


def _papers_optimizer() -> OptimizerOptions:
    return OptimizerOptions(name="sgd", lr=0.045, momentum=0.9, weight_decay=1e-5)


def _papers_schedule() -> ScheduleOptions:
    return ScheduleOptions(name="exponential", decay=0.94, decay_epochs=2.0)


@dataclass(frozen=True)
class ClassifierOptions(LearningOptions):
    """Classifier and training; the folders determine the classes.

    Args:
        encoder: name in `xseg.list_encoders()`.
        padding: "symmetric", or "tf_same" for weights of TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to 8.
        ablation: change of the encoder, for the ablation studies of the paper.
        fully_connected: number of units of each layer between pooling and output; [4096, 4096] in the paper's JFT
            experiments.
        dropout: dropout probability before the output layer; 0.5 on ImageNet.
        label_smoothing: label smoothing of the cross-entropy; 0.1 for Inception V3.

    Raises:
        ConfigError: if a value is out of range.

    Source of the defaults of optimizer and schedule: Chollet 2017, section 4.3, on ImageNet.
    """

    encoder: str = "xception"
    padding: Padding = "symmetric"
    width: float = 1.0
    ablation: Ablation = field(default_factory=Ablation)
    optimizer: OptimizerOptions = field(default_factory=_papers_optimizer)
    schedule: ScheduleOptions = field(default_factory=_papers_schedule)
    ema_decay: float | None = 0.9999
    batch_norm: BatchNormPolicy = "train"
    fully_connected: tuple[int, ...] = ()
    dropout: float = 0.5
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "fully_connected", tuple(self.fully_connected))
        require(0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}", "0 or more and below 1")
        require(self.width > 0, f"width={self.width}", "a value above 0")
        require(0 <= self.dropout < 1, f"dropout={self.dropout}", "0 or more and below 1")
