"""Options and configuration of a model. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from xseg.errors import require
from xseg.models.architectures import find_architecture
from xseg.nn.ablation import Ablation
from xseg.types import OUTPUT_STRIDES, OutputStride, Padding


@dataclass(frozen=True)
class ModelOptions:
    """Options of a model, shared by `xseg.create_model`, training and bundles.

    Args:
        architecture: deeplabv3plus, as in the paper; a decoder of SMP: unet, unetplusplus, manet, linknet, fpn, pspnet,
            pan, deeplabv3, smp_deeplabv3plus (SMP's own version of DeepLabV3+), upernet or segformer; or the class path
            of your own decoder, path/to/file.py:Class or package.module.Class.
        encoder: name from `xseg.list_encoders()`, or an encoder of SMP, such as resnet34, mit_b0 or tu-convnext_tiny
            ("tu-" before a name from timm).
        output_stride: ratio of the image size to the size of the encoder's last map, 4, 8, 16 or 32; by default the
            architecture's usual one, 16 for DeepLabV3+.
        depth: number of times the encoder may halve the resolution, 1 to 5.
        padding: "symmetric", or "tf_same" for weights from TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to multiples of 8.
        decoder_channels: channels of DeepLabV3+'s ASPP and decoder; 256 in the paper.
        atrous_rates: three rates of DeepLabV3+'s ASPP; by default they follow the output stride (6, 12, 18 at 16).
            Empty for an ASPP without atrous branches.
        dropout: dropout after DeepLabV3+'s ASPP; TF DeepLab keeps 0.9.
        decoder: whether DeepLabV3+ has its decoder with the stride-4 map; without it, the model is DeepLabV3.
        aspp: whether DeepLabV3+ has its ASPP; without it, the decoder gets the encoder's last map.
        image_pooling: whether the ASPP has image pooling; the paper's best model on Cityscapes has none.
        multi_grid: factors for the dilations in the encoder's last block, one per convolution.
        ablation: changes to the encoder, for the paper's studies.
        binary: whether the last layer of a model of two classes has one output z instead of two. The model still
            returns two logits, 0 and z, whose softmax is the sigmoid of z, so that cross-entropy is binary
            cross-entropy.

    Raises:
        ConfigError: if a value is out of range.
    """

    architecture: str = "deeplabv3plus"
    encoder: str = "xception65"
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
    multi_grid: tuple[int, ...] = (1, 1, 1)
    ablation: Ablation = field(default_factory=Ablation)
    binary: bool = False

    def __post_init__(self) -> None:
        find_architecture(self.architecture)
        strides = (None, *OUTPUT_STRIDES)
        require(self.output_stride in strides, f"output_stride={self.output_stride}", "4, 8, 16 or 32")
        require(1 <= self.depth <= 5, f"depth={self.depth}", "1 to 5")
        require(0 < self.width < math.inf, f"width={self.width}", "a multiplier above 0")
        require(self.decoder_channels >= 1, f"decoder_channels={self.decoder_channels}", "1 or more")
        require(0 <= self.dropout < 1, f"dropout={self.dropout}", "0 or more and below 1")
        if self.atrous_rates is not None:
            object.__setattr__(self, "atrous_rates", tuple(self.atrous_rates))
            sound = len(self.atrous_rates) in (0, 3) and min(self.atrous_rates, default=1) >= 1
            require(sound, f"atrous_rates={self.atrous_rates}", "three rates of 1 or more, or none")
        object.__setattr__(self, "multi_grid", tuple(self.multi_grid))
        require(min(self.multi_grid, default=0) >= 1, f"multi_grid={self.multi_grid}", "factors of 1 or more")

    def model_config(self, *, classes: int, in_channels: int) -> ModelConfig:
        """Return the configuration for a number of classes and image channels.

        Raises:
            ConfigError: if a number is below 1.
        """
        values = {field.name: getattr(self, field.name) for field in fields(ModelOptions)}
        if self.output_stride is None:
            values["output_stride"] = find_architecture(self.architecture).output_stride
        return ModelConfig(**values, classes=classes, in_channels=in_channels)


@dataclass(frozen=True)
class ModelConfig(ModelOptions):
    """Complete configuration of a model without its weights, as stored in a bundle.

    Args:
        output_stride: ratio of the image size to the size of the encoder's last map, 4, 8, 16 or 32.
        classes: number of output channels.
        in_channels: number of image channels.
        encoder_norm_eps: epsilon of the encoder's batch normalisations; None for the encoder's own.
        encoder_norm_momentum: momentum of these batch normalisations, as in PyTorch; None for the encoder's own.
        decoder_norm_eps: epsilon of DeepLabV3+'s other batch normalisations; 1e-5 in TF DeepLab `model.py`.
        decoder_norm_momentum: momentum of DeepLabV3+'s other batch normalisations.

    Raises:
        ConfigError: if a value is out of range.
    """

    output_stride: OutputStride = 16
    classes: int = 21
    in_channels: int = 3
    encoder_norm_eps: float | None = None
    encoder_norm_momentum: float | None = None
    decoder_norm_eps: float = 1e-5
    decoder_norm_momentum: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("classes", "in_channels"):
            require(getattr(self, name) >= 1, f"{name}={getattr(self, name)}", "1 or more")
        require(not self.binary or self.classes == 2, f"binary=true with {self.classes} classes", "2")

    @property
    def outputs(self) -> int:
        """Number of channels of the last layer."""
        return 1 if self.binary else self.classes

    def at_output_stride(self, output_stride: OutputStride) -> ModelConfig:
        """Return the same model at another output stride; explicit rates are scaled to cover the same context."""
        rates = self.atrous_rates
        if rates is not None:
            rates = tuple(max(1, rate * self.output_stride // output_stride) for rate in rates)
        return replace(self, output_stride=output_stride, atrous_rates=rates)
