"""One Xception block, of any of the three families."""

from __future__ import annotations

from torch import Tensor, nn

from xseg.encoders.spec import EncoderSpec, Grid, Stage
from xseg.nn.aspp import ConvNormRelu
from xseg.nn.norm import batch_norm
from xseg.nn.pooling import AtrousMaxPool2d
from xseg.nn.separable import SeparableConv2d
from xseg.types import Padding

TAP = 1  # the second separable convolution, counted from 0


class Shortcut(nn.Module):
    """Strided 1x1 convolution from the raw input of a block to its output."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, spec: EncoderSpec) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        self.norm = nn.Identity() if spec.norm == "first" else batch_norm(out_channels, spec.batch_norm)

    def forward(self, features: Tensor) -> Tensor:
        """Project (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        output: Tensor = self.norm(self.conv(features))
        return output


class XceptionBlock(nn.Module):
    """A sequence of separable convolutions, with stride if the table has one, and a skip connection.

    Args:
        in_channels: number of input channels.
        stage: row of the table.
        grid: stride and dilation of the block. If dilation replaces the table's stride, convolutions, pooling and skip
            stay the same, so that the weights are the same at every output stride.
        spec: table of the encoder, for settings common to all blocks.
        padding: padding mode, see `AtrousMaxPool2d`.
    """

    def __init__(self, in_channels: int, stage: Stage, grid: Grid, *, spec: EncoderSpec, padding: Padding) -> None:
        super().__init__()
        self.tapped = stage.stride == 2
        self.tap_index = TAP
        pooled = self.tapped and spec.downsample == "max_pool"
        last = len(stage.widths) - 1
        inputs = (in_channels, *stage.widths)
        # A pre-activated block normalises and activates its input once, for both the first convolution and the skip.
        preactivated = spec.norm == "first"
        self.norm_in = batch_norm(in_channels, spec.batch_norm) if preactivated else nn.Identity()
        self.activation_in = nn.ReLU() if preactivated else nn.Identity()
        factors = stage.multi_grid or (1,) * len(stage.widths)
        self.convs = nn.ModuleList(
            SeparableConv2d(
                inputs[index],
                width,
                norm="none" if preactivated and index == 0 else spec.norm,
                activation="none" if preactivated and index == 0 else stage.activation,
                spec=spec.batch_norm,
                stride=1 if pooled or index < last else grid.stride,
                dilation=grid.dilation * factors[index],
                ablation=spec.ablation,
            )
            for index, width in enumerate(stage.widths)
        )
        self.pool = (
            AtrousMaxPool2d(stride=grid.stride, dilation=grid.dilation, padding=padding) if pooled else nn.Identity()
        )
        self.skipped = stage.skip != "none"
        self.shortcut = (
            Shortcut(in_channels, stage.widths[-1], stride=grid.stride, spec=spec)
            if stage.skip == "conv"
            else nn.Identity()
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Run the block.

        Args:
            features: input features, (N, in_channels, H, W).

        Returns:
            The output (N, widths[-1], ceil(H / stride), ceil(W / stride)), and the feature map for decoders
            (N, widths[1], H, W): the output of the second separable convolution, normalised but not activated. A
            pre-activated network does not normalise after a convolution and returns its bare output, as timm does.
        """
        features = self.activation_in(self.norm_in(features))
        output = features
        tap = features
        for index, conv in enumerate(self.convs):
            output = conv(output)
            if index == self.tap_index:
                tap = output
        output = self.pool(output)
        if self.skipped:
            output = output + self.shortcut(features)
        return output, tap


class Stem(nn.Module):
    """Two 3x3 convolutions, the first of stride 2."""

    def __init__(self, in_channels: int, *, spec: EncoderSpec, padding: Padding) -> None:
        super().__init__()
        as_tf = padding == "tf_same"
        valid = as_tf and spec.tf_stem == "valid"
        self.pad_after_only = as_tf and not valid
        first, second = spec.stem
        pad_first, pad_second = (0, 0) if valid else (0 if self.pad_after_only else 1, 1)
        self.conv1 = ConvNormRelu(in_channels, first, spec=spec.batch_norm, kernel=3, stride=2, padding=pad_first)
        bare = spec.norm == "first"  # every block of a pre-activated network starts with a normalisation
        self.conv2 = ConvNormRelu(first, second, spec=spec.batch_norm, kernel=3, padding=pad_second, norm=not bare)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images (N, in_channels, H, W) to (N, 64, ceil(H / 2), ceil(W / 2)); smaller if the stem is VALID."""
        if self.pad_after_only:
            top, left = images.shape[-2] % 2, images.shape[-1] % 2
            images = nn.functional.pad(images, [left, 1, top, 1])
        output: Tensor = self.conv2(self.conv1(images))
        return output
