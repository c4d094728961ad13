"""What the user chooses about a training, as plain values; these docstrings are the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from xseg.models.config import ModelOptions
from xseg.training.options.recipe import LossOptions, OptimizerOptions, ScheduleOptions, require

BatchNormPolicy: TypeAlias = Literal["auto", "train", "frozen"]


@dataclass(frozen=True)
class TaskOptions(ModelOptions):
    """The model and how it learns; classes and input channels come from the data.

    Args:
        encoder_weights: file with the encoder's weights, or name of published ones: in the catalogue, or for an encoder
            of SMP among SMP's, such as imagenet; null for random weights.
        start_from: a run, a bundle or a Hub id of a model of the same architecture, trained on other data, whose
            weights are gone on from; its head keeps the rows of classes of the same name. Null for a new model.
        optimizer: how weights follow gradients.
        schedule: how the learning rate moves.
        loss: what is minimised.
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
    start_from: str | None = None
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    loss: LossOptions = field(default_factory=LossOptions)
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
        super().__post_init__()
        require(self.ema_decay is None or 0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay}", "0 to 1, or null")
        momentum = self.batch_norm_momentum
        require(momentum is None or 0 < momentum <= 1, f"batch_norm_momentum={momentum}", "above 0 and up to 1")
        for name in ("batch_norm_threshold", "freeze_encoder_epochs", "freeze_encoder_blocks"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        both = self.start_from is not None and self.encoder_weights is not None
        require(not both, "start_from and encoder_weights", "one of them")
        hooked = self.compile and self.loss.auxiliary > 0
        require(not hooked, "compile=true with loss.auxiliary above 0", "one of them")
