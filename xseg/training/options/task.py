"""What the user chooses about a training, as plain values; these docstrings are the help. Imports no torch."""

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
    """How a model learns, whatever its task.

    Args:
        encoder_weights: file with the encoder's weights, or name of published ones: in the catalogue, or for an encoder
            of SMP among SMP's, such as imagenet; null for random weights.
        optimizer: how weights follow gradients.
        schedule: how the learning rate moves.
        ema_decay: keep a moving average of the weights, with this share of the old at every step, and validate and
            save it in place of the last weights; null for none. The average spans about 1 / (1 - decay) steps.
        batch_norm: what happens to the means and variances of the encoder's normalisations: "train" moves them,
            "frozen" keeps those of the encoder's weights (TF DeepLab, `fine_tune_batch_norm`); "auto" freezes those of
            a pretrained encoder where fewer than `batch_norm_threshold` images are normalised together. Those of new
            layers always move.
        batch_norm_threshold: for "auto": images per process and step, times the processes with
            `trainer.sync_batchnorm`, from which on the pretrained statistics are trained. TF DeepLab's advice is 12;
            on CamVid, training them is far better at 8 already (docs/training.md), and less was not measured.
        batch_norm_momentum: share of a new batch in the running means and variances that validation and prediction
            use, above 0 and up to 1; null for the model's own. Short trainings need about 0.1: the original Xception
            has 0.01, which takes some hundred steps to forget where it started.
        freeze_encoder_epochs: number of first epochs in which the encoder does not learn.
        freeze_encoder_blocks: number of the encoder's first blocks that never learn, the stem being the first.
        gradient_checkpointing: compute the encoder's blocks again in the backward pass instead of keeping what they
            computed: about a third more time for a fraction of the memory.
        compile: let `torch.compile` make the network faster, after a minute or more at the first step.
        channels_last: keep images as (N, H, W, C) in memory, which is faster on most hardware.

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
    """The segmentation model and how it learns; classes and input channels come from the data.

    Args:
        start_from: a run, a bundle or a Hub id of a model of the same architecture, trained on other data, whose
            weights the training starts from; its head keeps the rows of classes of the same name. Null for a new model.
        loss: what is minimised.

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
    """The classifier and how it learns; its classes come from the folders.

    Args:
        encoder: a name of `xseg.list_encoders()`.
        padding: "symmetric", or "tf_same" for weights of TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to 8.
        ablation: how the encoder differs from its table, for the paper's studies.
        fully_connected: units of each layer between pooling and the outputs; [4096, 4096] in the paper's JFT
            experiments.
        dropout: share of the outputs' input that is dropped while training; 0.5 on ImageNet.
        label_smoothing: share of the target spread over all classes; 0.1 for Inception V3.

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
