"""bonlime's Keras DeepLabV3+ on Xception-65, restated with Keras 3's layers; resizes are done outside of the layers.

Returns the maps before the final resizes, so that only convolutions, normalisations and paddings are Keras's; the
resizes (corners on corners, as TF 1's) are numpy's linear interpolation, written out.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers


def same(value, kernel, stride, rate):
    """Pad explicitly before a strided convolution."""
    total = kernel + (kernel - 1) * (rate - 1) - 1
    return layers.ZeroPadding2D(((total // 2, total - total // 2),) * 2)(value) if stride > 1 else value


def separable(value, filters, name, stride=1, rate=1, inside=False, epsilon=1e-3):
    value = same(value, 3, stride, rate)
    if not inside:
        value = layers.ReLU()(value)
    padding = "same" if stride == 1 else "valid"
    value = layers.DepthwiseConv2D(
        3, stride, padding, dilation_rate=rate, use_bias=False, name=name + "_depthwise"
    )(value)  # fmt: skip
    value = layers.BatchNormalization(epsilon=epsilon, name=name + "_depthwise_BN")(value)
    value = layers.ReLU()(value) if inside else value
    value = layers.Conv2D(filters, 1, use_bias=False, name=name + "_pointwise")(value)
    value = layers.BatchNormalization(epsilon=epsilon, name=name + "_pointwise_BN")(value)
    return layers.ReLU()(value) if inside else value


def block(value, depths, name, skip, stride=1, rate=1, inside=False):
    residual, tap = value, None
    for index, depth in enumerate(depths):
        part = f"{name}_separable_conv{index + 1}"
        residual = separable(residual, depth, part, stride if index == 2 else 1, rate, inside)
        tap = residual if index == 1 else tap
    if skip == "conv":
        shortcut = layers.Conv2D(depths[2], 1, stride, use_bias=False, name=name + "_shortcut")(value)
        shortcut = layers.BatchNormalization(name=name + "_shortcut_BN")(shortcut)
        return layers.Add()([residual, shortcut]), tap
    return (layers.Add()([residual, value]) if skip == "sum" else residual), tap


def normed(value, filters, name):
    value = layers.Conv2D(filters, 1, use_bias=False, name=name)(value)
    return layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, name=name + "_BN")(value))


def resize(value, height, width):
    """Resize (N, h, w, C) linearly, corners on corners."""
    for axis, size in ((1, height), (2, width)):
        old = value.shape[axis]
        at = np.linspace(0, old - 1, size)
        low = np.minimum(np.floor(at).astype(int), max(old - 2, 0))
        shape = [1, 1, 1, 1]
        shape[axis] = size
        part = (at - low).reshape(shape)
        upper = np.minimum(low + 1, old - 1)
        value = np.take(value, low, axis) * (1 - part) + np.take(value, upper, axis) * part
    return value


class Bonlime:
    """The three parts of the network between its resizes."""

    def __init__(self, classes=21, output_stride=16):
        stride3, middle, exits, rates = {
            8: (1, 2, (2, 4), (12, 24, 36)), 16: (2, 1, (1, 2), (6, 12, 18))
        }[output_stride]  # fmt: skip
        images = keras.Input((None, None, 3))
        x = layers.Conv2D(32, 3, 2, "same", use_bias=False, name="entry_flow_conv1_1")(images)
        x = layers.ReLU()(layers.BatchNormalization(name="entry_flow_conv1_1_BN")(x))
        x = layers.Conv2D(64, 3, 1, "same", use_bias=False, name="entry_flow_conv1_2")(x)
        x = layers.ReLU()(layers.BatchNormalization(name="entry_flow_conv1_2_BN")(x))
        x, tap1 = block(x, (128,) * 3, "entry_flow_block1", "conv", 2)
        x, tap2 = block(x, (256,) * 3, "entry_flow_block2", "conv", 2)
        x, tap3 = block(x, (728,) * 3, "entry_flow_block3", "conv", stride3)
        for index in range(1, 17):
            x, _ = block(x, (728,) * 3, f"middle_flow_unit_{index}", "sum", rate=middle)
        x, tap4 = block(x, (728, 1024, 1024), "exit_flow_block1", "conv", rate=exits[0])
        x, _ = block(x, (1536, 1536, 2048), "exit_flow_block2", "none", rate=exits[1], inside=True)
        self.encoder = keras.Model(images, [tap1, tap2, tap3, tap4, x])
        features = keras.Input((None, None, 2048))
        pooled = normed(layers.GlobalAveragePooling2D(keepdims=True)(features), 256, "image_pooling")
        pooled = pooled + keras.ops.zeros_like(features[..., :1])
        branches = [pooled, normed(features, 256, "aspp0")]
        branches += [
            separable(features, 256, f"aspp{index}", rate=rate, inside=True, epsilon=1e-5)
            for index, rate in enumerate(rates, 1)
        ]
        self.pyramid = keras.Model(features, normed(layers.Concatenate()(branches), 256, "concat_projection"))
        low, high = keras.Input((None, None, 256)), keras.Input((None, None, 256))
        x = layers.Concatenate()([high, normed(low, 48, "feature_projection0")])
        x = separable(x, 256, "decoder_conv0", inside=True, epsilon=1e-5)
        x = separable(x, 256, "decoder_conv1", inside=True, epsilon=1e-5)
        self.decoder = keras.Model([low, high], layers.Conv2D(classes, 1, name="logits_semantic")(x))

    def layers(self):
        for model in (self.encoder, self.pyramid, self.decoder):
            yield from (layer for layer in model.layers if layer.weights)

    def randomize(self, seed=0):
        random = np.random.default_rng(seed)
        for layer in self.layers():
            if isinstance(layer, layers.BatchNormalization):
                size = layer.get_weights()[0].shape
                layer.set_weights(
                    [random.uniform(0.6, 1.4, size), random.normal(0, 0.2, size), random.normal(0, 0.2, size),
                     random.uniform(0.6, 1.4, size)]
                )  # fmt: skip

    def save(self, path):
        """Write the layout of bonlime's files: a group per layer, directly at the root, as Keras 2 saved weights."""
        import h5py

        with h5py.File(path, "w") as file:
            names = []
            for layer in self.layers():
                group = file.create_group(layer.name)
                inside = [f"{layer.name}/{variable.name.split('/')[-1]}:0" for variable in layer.weights]
                if isinstance(layer, layers.DepthwiseConv2D):
                    inside = [f"{layer.name}/depthwise_kernel:0"]
                for name, value in zip(inside, layer.get_weights(), strict=True):
                    group[name] = value
                group.attrs["weight_names"] = [name.encode() for name in inside]
                names.append(layer.name.encode())
            file.attrs["layer_names"] = names

    def __call__(self, images):
        """Return the maps "1" to "5" and the "logits" of (N, H, W, 3)."""
        maps = [keras.ops.convert_to_numpy(value) for value in self.encoder(images)]
        height, width = maps[1].shape[1:3]
        context = resize(keras.ops.convert_to_numpy(self.pyramid(maps[4])), height, width).astype(np.float32)
        logits = keras.ops.convert_to_numpy(self.decoder([maps[1], context]))
        outputs = {str(level): value for level, value in enumerate(maps, 1)}
        return {**outputs, "logits": resize(logits, *images.shape[1:3])}
