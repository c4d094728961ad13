"""What the user chooses about a training, as plain values; these docstrings are the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from xseg.models.config import Architecture
from xseg.nn.ablation import Ablation
from xseg.training.options.recipe import LossOptions, OptimizerOptions, ScheduleOptions, require
from xseg.types import OutputStride, Padding

BatchNormPolicy: TypeAlias = Literal["auto", "train", "frozen"]


@dataclass(frozen=True)
class TaskOptions:
    """The model and how it learns; classes and input channels come from the data.

    Args:
        architecture: "deeplabv3plus" is the paper's; the others are SMP's decoders.
        encoder: a name of `xseg.list_encoders()`.
        encoder_weights: a file with the encoder's weights, a name in the catalogue, or null for random ones.
        start_from: a run, a bundle or a Hub id of a model of the same architecture, trained on other data, whose
            weights are gone on from; its head keeps the rows of classes of the same name. Null for a new model.
        output_stride: size of the input over the size of the encoder's last features; null for what the architecture
            is best known at, 16 for DeepLabV3+.
        depth: number of times the encoder may halve the resolution, 1 to 5.
        padding: "symmetric", or "tf_same" for weights of TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to 8.
        decoder_channels: channels of DeepLabV3+'s ASPP and decoder; 256 in the paper.
        atrous_rates: DeepLabV3+'s three rates; null for those that follow the output stride (6, 12, 18 at 16), [] for
            an ASPP without atrous branches.
        dropout: share of DeepLabV3+'s ASPP output dropped while training.
        decoder: false for DeepLabV3+ without its decoder, which is DeepLabV3.
        aspp: false for DeepLabV3+ without its ASPP.
        image_pooling: false for an ASPP without the branch of the whole image.
        multi_grid: factors of the dilations of the encoder's last block, one per convolution.
        ablation: how the encoder differs from its table, for the paper's studies.
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

    architecture: Architecture = "deeplabv3plus"
    encoder: str = "xception65"
    encoder_weights: str | None = None
    start_from: str | None = None
    output_stride: OutputStride | None = None
    depth: int = 5
    padding: Padding = "symmetric"
    width: float = 1.0
    decoder_channels: int = 256
    atrous_rates: tuple[int, ...] | None = None
    dropout: float = 0.1
    decoder: bool = True
    aspp: bool = True
    image_pooling: bool = True
    multi_grid: tuple[int, int, int] = (1, 1, 1)
    ablation: Ablation = field(default_factory=Ablation)
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
        require(self.ema_decay is None or 0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay}", "0 to 1, or null")
        momentum = self.batch_norm_momentum
        require(momentum is None or 0 < momentum <= 1, f"batch_norm_momentum={momentum}", "above 0 and up to 1")
        require(1 <= self.depth <= 5, f"depth={self.depth}", "1 to 5")
        require(self.width > 0, f"width={self.width}", "a value above 0")
        for name in ("batch_norm_threshold", "freeze_encoder_epochs", "freeze_encoder_blocks"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        if self.atrous_rates is not None:
            object.__setattr__(self, "atrous_rates", tuple(self.atrous_rates))
            require(len(self.atrous_rates) in (0, 3), f"atrous_rates={self.atrous_rates}", "three rates, or none")
        both = self.start_from is not None and self.encoder_weights is not None
        require(not both, "start_from and encoder_weights", "one of them")
        hooked = self.compile and self.loss.auxiliary > 0
        require(not hooked, "compile=true with loss.auxiliary above 0", "one of them")
