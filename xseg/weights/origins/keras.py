"""The original Xception of keras.applications."""

from __future__ import annotations

from xseg.weights.origins.rules import Rule, drop, norm_rules

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def keras_rules() -> list[Rule]:
    """Return the table of Keras's Xception.

    Blocks are numbered from 2, after the stem, which Keras calls block 1. The reader names the four unnamed shortcuts
    "shortcut2", "shortcut3", "shortcut4" and "shortcut13" after their blocks.
    """
    conv = r"block(?P<block>\d+)_sepconv(?P<conv>\d+)"
    inside = "encoder.blocks.{block-2}.convs.{conv-1}"
    shortcut = "encoder.blocks.{block-2}.shortcut"
    return [
        Rule(r"block1_conv(?P<conv>[12])/kernel", "encoder.stem.conv{conv}.conv.weight", "conv"),
        *norm_rules(r"block1_conv(?P<conv>[12])_bn/", "encoder.stem.conv{conv}.norm", NORM),
        Rule(conv + "/depthwise_kernel", inside + ".depthwise.weight", "depthwise"),
        Rule(conv + "/pointwise_kernel", inside + ".pointwise.weight", "conv"),
        *norm_rules(conv + "_bn/", inside + ".norm_out", NORM),
        Rule(r"shortcut(?P<block>\d+)/kernel", shortcut + ".conv.weight", "conv"),
        *norm_rules(r"shortcut(?P<block>\d+)_bn/", shortcut + ".norm", NORM),
        drop(r"predictions/(kernel|bias)", "the ImageNet classifier"),
        drop(r"head:.*", "a layer outside the Xception"),
    ]
