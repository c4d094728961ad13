"""Xception classifier: the encoder with global pooling and logistic regression, as in the paper."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from xseg.encoders.spec import EncoderSpec
from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.errors import require
from xseg.nn.ablation import Ablation
from xseg.nn.initialization import truncated_normal_
from xseg.types import Padding

HEAD_STD = 0.01  # TF slim, last layer of a classifier


@dataclass(frozen=True)
class ClassifierConfig:
    """Configuration of a classifier, without its weights.

    Args:
        encoder: name from `xseg.list_encoders()`.
        classes: number of outputs.
        in_channels: number of image channels.
        fully_connected: units of each fully connected layer with ReLU before the output layer; (4096, 4096) in the
            paper's JFT experiments, none on ImageNet (section 4.5.2).
        dropout: dropout before the output layer; 0.5 on ImageNet (section 4.3).
        padding: "symmetric", or "tf_same" for weights from TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to multiples of 8.
        ablation: changes to the encoder.
        encoder_norm_eps: epsilon of the encoder's batch normalisations; None for the encoder's own.
        encoder_norm_momentum: momentum of these batch normalisations, as in PyTorch; None for the encoder's own.

    Raises:
        ConfigError: if a value is out of range.
    """

    encoder: str = "xception"
    classes: int = 1000
    in_channels: int = 3
    fully_connected: tuple[int, ...] = ()
    dropout: float = 0.5
    padding: Padding = "symmetric"
    width: float = 1.0
    ablation: Ablation = field(default_factory=Ablation)
    encoder_norm_eps: float | None = None
    encoder_norm_momentum: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fully_connected", tuple(self.fully_connected))
        for name in ("classes", "in_channels"):
            require(getattr(self, name) >= 1, f"{name}={getattr(self, name)}", "1 or more")
        units = self.fully_connected
        require(min(units, default=1) >= 1, f"fully_connected={units}", "1 unit or more per layer")
        require(0 <= self.dropout < 1, f"dropout={self.dropout}", "0 or more and below 1")

    def spec(self) -> EncoderSpec:
        """Return the table of the encoder.

        Raises:
            ConfigError: if the encoder is unknown, or its width is out of range.
        """
        table = encoder_spec(self.encoder).scaled(self.width).with_ablation(self.ablation)
        return table.with_norm(self.encoder_norm_eps, self.encoder_norm_momentum)


class XceptionClassifier(nn.Module):
    """Classifier from images (N, in_channels, H, W) to logits (N, classes).

    Args:
        config: configuration of the classifier.
        spec: table of the encoder, for channels that differ from a width rounded to 8, as in studies. Such a
            classifier cannot be saved as a bundle.

    Source: Chollet 2017, Figure 5 and section 4.
    """

    def __init__(self, config: ClassifierConfig, *, spec: EncoderSpec | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoder = XceptionEncoder(
            config.spec() if spec is None else spec, in_channels=config.in_channels, padding=config.padding
        )
        widths = (self.encoder.out_channels[-1], *config.fully_connected)
        self.fully_connected = nn.Sequential()
        for incoming, units in zip(widths, config.fully_connected, strict=False):
            self.fully_connected.extend([nn.Linear(incoming, units), nn.ReLU()])
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(widths[-1], config.classes)
        truncated_normal_(self.head.weight, HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images (N, in_channels, H, W) with H and W from 33; 299 in the paper.

        Returns:
            Logits (N, classes).
        """
        pooled = self.encoder(images)[-1].mean((2, 3))
        logits: Tensor = self.head(self.dropout(self.fully_connected(pooled)))
        return logits
