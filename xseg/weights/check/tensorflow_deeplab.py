"""TF DeepLab's Xception networks, reimplemented in TensorFlow from their specification.

This implementation is independent of the networks in this project, for comparison. It follows TF DeepLab operation by
operation and uses its variable names.

Source: tensorflow/models research/deeplab: core/xception.py, core/feature_extractor.py, model.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Variables: TypeAlias = Callable[[str, tuple[int, ...]], Any]
MIDDLE_UNITS = {"xception_41": 8, "xception_65": 16, "xception_71": 16}
ENTRY = {
    "xception_41": ((128, 2), (256, 2), (728, 2)),
    "xception_65": ((128, 2), (256, 2), (728, 2)),
    "xception_71": ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)),
}
DECODER_BLOCK = {"xception_41": 2, "xception_65": 2, "xception_71": 3}


@dataclass(frozen=True)
class Options:
    """TF DeepLab's options.

    Args:
        variant: `model_variant`.
        output_stride: 8, 16 or 32.
        classes: number of outputs; 0 for the encoder only.
        multi_grid: factors for the rates of the last block.
        aspp: `aspp_with_batch_norm`.
        atrous_rates: atrous rates of the ASPP; empty for none.
        image_pooling: `add_image_level_feature`.
        decoder: `decoder_output_stride` 4.
    """

    variant: str = "xception_65"
    output_stride: int = 16
    classes: int = 21
    multi_grid: tuple[int, int, int] = (1, 1, 1)
    aspp: bool = True
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    image_pooling: bool = True
    decoder: bool = True


@dataclass(frozen=True)
class Unit:
    """One row of the tables in core/xception.py."""

    scope: str
    depths: tuple[int, int, int]
    stride: int
    skip: str
    inside: bool = False


class Network:
    """One run of the network."""

    def __init__(self, options: Options, variables: Variables) -> None:
        import tensorflow as tf

        self.tf: Any = tf
        self.options = options
        self.variables = variables
        self.end_points: dict[str, Any] = {}

    def convolve(self, name: str, value: Any, depth: int, size: int = 1, stride: int = 1) -> Any:
        """conv2d_same without normalisation: stride 2 pads explicitly, then VALID."""
        kernel = self.variables(f"{name}/weights", (size, size, int(value.shape[-1]), depth))
        padding = "SAME"
        if stride > 1 and size > 1:
            value, padding = self.pad(value, size, 1), "VALID"
        return self.tf.nn.conv2d(value, kernel, [1, stride, stride, 1], padding)

    def pad(self, value: Any, size: int, rate: int) -> Any:
        """fixed_padding: independent of the input size."""
        total = size + (size - 1) * (rate - 1) - 1
        before, after = total // 2, total - total // 2
        return self.tf.pad(value, [[0, 0], [before, after], [before, after], [0, 0]])

    def normalise(self, name: str, value: Any, epsilon: float) -> Any:
        """slim.batch_norm with is_training=False."""
        scale, shift, mean, variance = (
            self.variables(f"{name}/BatchNorm/{part}", (int(value.shape[-1]),))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (value - mean) * (scale / self.tf.sqrt(variance + epsilon)) + shift

    def projected(
        self, name: str, value: Any, depth: int, epsilon: float = 1e-5, size: int = 1, stride: int = 1
    ) -> Any:
        """slim.conv2d with batch normalisation and ReLU."""
        return self.tf.nn.relu(self.normalise(name, self.convolve(name, value, depth, size, stride), epsilon))

    def separable(
        self, name: str, value: Any, depth: int, *, stride: int = 1, rate: int = 1, relu: bool, epsilon: float
    ) -> Any:
        """split_separable_conv2d: normalisation, and with `relu` an activation, after both halves."""
        tf = self.tf
        kernel = self.variables(f"{name}_depthwise/depthwise_weights", (3, 3, int(value.shape[-1]), 1))
        label = f"{name}_depthwise/depthwise"  # a frozen graph shows its rates under these names
        if stride > 1:
            padded = self.pad(value, 3, rate)
            value = tf.nn.depthwise_conv2d(padded, kernel, [1, stride, stride, 1], "VALID", name=label)
        else:
            value = tf.nn.depthwise_conv2d(value, kernel, [1, 1, 1, 1], "SAME", dilations=[rate, rate], name=label)
        value = self.normalise(f"{name}_depthwise", value, epsilon)
        value = tf.nn.relu(value) if relu else value
        value = self.convolve(f"{name}_pointwise", value, depth)
        value = self.normalise(f"{name}_pointwise", value, epsilon)
        return tf.nn.relu(value) if relu else value

    def module(self, unit: Unit, value: Any, stride: int, rate: int, rates: tuple[int, ...]) -> Any:
        """xception_module: three separable convolutions, the last with stride, and the skip."""
        name, residual = f"{unit.scope}/xception_module", value
        for index in range(3):
            residual = residual if unit.inside else self.tf.nn.relu(residual)
            residual = self.separable(
                f"{name}/separable_conv{index + 1}",
                residual,
                unit.depths[index],
                stride=stride if index == 2 else 1,
                rate=rate * rates[index],
                relu=unit.inside,
                epsilon=1e-3,
            )
            self.end_points[f"{name}/separable_conv{index + 1}_pointwise"] = residual
        if unit.skip == "conv":
            shortcut = self.convolve(f"{name}/shortcut", value, unit.depths[2], stride=stride)
            return residual + self.normalise(f"{name}/shortcut", shortcut, 1e-3)
        return residual + value if unit.skip == "sum" else residual

    def units(self) -> list[Unit]:
        """Return the table of the variant."""
        scope = self.options.variant
        table = [
            Unit(f"{scope}/entry_flow/block{index}/unit_1", (depth, depth, depth), stride, "conv")
            for index, (depth, stride) in enumerate(ENTRY[scope], 1)
        ]
        table += [
            Unit(f"{scope}/middle_flow/block1/unit_{index}", (728, 728, 728), 1, "sum")
            for index in range(1, MIDDLE_UNITS[scope] + 1)
        ]
        table.append(Unit(f"{scope}/exit_flow/block1/unit_1", (728, 1024, 1024), 2, "conv"))
        table.append(Unit(f"{scope}/exit_flow/block2/unit_1", (1536, 1536, 2048), 1, "none", inside=True))
        return table

    def encode(self, images: Any) -> Any:
        """Return the features of images (N, H, W, 3) in [-1, 1]: stack_blocks_dense after the two root convolutions."""
        scope = self.options.variant
        value = self.projected(f"{scope}/entry_flow/conv1_1", images, 32, 1e-3, 3, 2)
        value = self.projected(f"{scope}/entry_flow/conv1_2", value, 64, 1e-3, 3)
        current, rate, target = 1, 1, self.options.output_stride // 2
        for unit in self.units():
            rates = self.options.multi_grid if unit.inside else (1, 1, 1)
            if current == target:
                value = self.module(unit, value, 1, rate, rates)
                rate *= unit.stride
            else:
                value = self.module(unit, value, unit.stride, 1, rates)
                current *= unit.stride
        return value

    def resize(self, value: Any, height: int, width: int) -> Any:
        """resize_bilinear with corners on corners."""
        return self.tf.compat.v1.image.resize_bilinear(value, [height, width], align_corners=True)

    def pyramid(self, features: Any) -> Any:
        """ASPP with batch normalisation; the image is the crop, so pooling covers the whole map."""
        tf, branches = self.tf, []
        height, width = features.shape[1], features.shape[2]
        if self.options.image_pooling:
            pooled = tf.nn.avg_pool2d(features, [height, width], [height, width], "VALID")
            branches.append(self.resize(self.projected("image_pooling", pooled, 256), height, width))
        branches.append(self.projected("aspp0", features, 256))
        for index, rate in enumerate(self.options.atrous_rates, 1):
            branches.append(self.separable(f"aspp{index}", features, 256, rate=rate, relu=True, epsilon=1e-5))
        return self.projected("concat_projection", tf.concat(branches, 3), 256)

    def logits(self, images: Any) -> Any:
        """Return the class scores of images, (N, H, W, classes)."""
        tf = self.tf
        value = self.encode(images)
        value = self.pyramid(value) if self.options.aspp else value
        if self.options.decoder:
            height, width = (int((side - 1.0) / 4 + 1.0) for side in images.shape[1:3])
            scope = self.options.variant
            block = f"{scope}/entry_flow/block{DECODER_BLOCK[scope]}/unit_1"
            low = self.end_points[f"{block}/xception_module/separable_conv2_pointwise"]
            low = self.projected("decoder/feature_projection0", low, 48)
            value = tf.concat([self.resize(value, height, width), self.resize(low, height, width)], 3)
            for index in range(2):
                value = self.separable(f"decoder/decoder_conv{index}", value, 256, relu=True, epsilon=1e-5)
        value = self.convolve("logits/semantic", value, self.options.classes)
        value = value + self.variables("logits/semantic/biases", (self.options.classes,))
        return self.resize(value, images.shape[1], images.shape[2])

    def run(self, images: Any) -> dict[str, Any]:
        """Return the feature maps "1" to "5" and, with classes, the "logits"."""
        outputs = {"logits": self.logits(images)} if self.options.classes else {"5": self.encode(images)}
        units = self.units()
        striding = [unit.scope for unit in units if unit.stride == 2]
        for level, unit_scope in enumerate(striding, 1):
            outputs[str(level)] = self.end_points[f"{unit_scope}/xception_module/separable_conv2_pointwise"]
        last = f"{units[-1].scope}/xception_module/separable_conv3_pointwise"
        return {"5": self.end_points[last], **outputs}
