"""TensorFlow projects: TF DeepLab, keras.applications, and bonlime's Keras port of DeepLab."""

from __future__ import annotations

from collections.abc import Sequence

from xseg.weights.origins.rules import Rule, drop, norm_rules

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def tensorflow_rules(scope: str, *, entry: int, middle: int) -> list[Rule]:
    """Return the table of TF DeepLab.

    Args:
        scope: scope of the encoder's variables, for example "xception_65".
        entry: number of blocks in the entry flow: 3, in X-71 5.
        middle: number of units in the middle flow.
    """
    places = (
        (rf"{scope}/entry_flow/block(?P<block>\d+)/unit_1", -1),
        (rf"{scope}/middle_flow/block1/unit_(?P<block>\d+)", entry - 1),
        (rf"{scope}/exit_flow/block(?P<block>\d+)/unit_1", entry + middle - 1),
    )
    stem = rf"{scope}/entry_flow/conv1_(?P<conv>[12])"
    return [
        *_encoder(stem, places, "/xception_module/", "/BatchNorm/"),
        *_head("/BatchNorm/", "decoder/"),
        Rule(r"logits/semantic/weights", "segmentation_head.weight", "conv"),
        Rule(r"logits/semantic/biases", "segmentation_head.bias"),
        drop(rf"{scope}/logits/(weights|biases)", "the ImageNet classifier"),
    ]


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


def bonlime_rules(middle: int) -> list[Rule]:
    """Return the table of bonlime's Keras DeepLabV3+; the reader names tensors LAYER/VARIABLE."""
    places = (
        (r"entry_flow_block(?P<block>\d+)", -1),
        (r"middle_flow_unit_(?P<block>\d+)", 2),
        (r"exit_flow_block(?P<block>\d+)", 3 + middle - 1),
    )
    return [
        *_encoder(r"entry_flow_conv1_(?P<conv>[12])", places, "_", "_BN/", keras=True),
        *_head("_BN/", "", keras=True),
        Rule(r"(custom_)?logits_semantic/kernel", "segmentation_head.weight", "conv"),
        Rule(r"(custom_)?logits_semantic/bias", "segmentation_head.bias"),
    ]


def _encoder(
    stem: str, places: Sequence[tuple[str, int]], separator: str, norm: str, *, keras: bool = False
) -> list[Rule]:
    """Return the rules of stem and blocks; a place has the pattern of some blocks, and what to add to their number."""
    kernel = "/kernel" if keras else "/weights"
    rules = [Rule(stem + kernel, "encoder.stem.conv{conv}.conv.weight", "conv")]
    rules += norm_rules(stem + norm, "encoder.stem.conv{conv}.norm", NORM)
    for where, offset in places:
        block, shortcut = f"encoder.blocks.{{block{offset:+d}}}", f"{where}{separator}shortcut"
        separable = where + separator + r"separable_conv(?P<conv>\d)"
        rules += _separable(separable, block + ".convs.{conv-1}", norm, keras=keras)
        rules.append(Rule(shortcut + kernel, block + ".shortcut.conv.weight", "conv"))
        rules += norm_rules(shortcut + norm, block + ".shortcut.norm", NORM)
    return rules


def _head(norm: str, decoder: str, *, keras: bool = False) -> list[Rule]:
    """Return the rules of ASPP and decoder, which have the same names in both projects."""
    kernel = "/kernel" if keras else "/weights"
    rules: list[Rule] = []
    for where, target in (
        ("image_pooling", "decoder.aspp.pooling"),
        ("aspp0", "decoder.aspp.pointwise"),
        ("concat_projection", "decoder.aspp.projection"),
        (f"{decoder}feature_projection0", "decoder.low_projection"),
    ):
        rules.append(Rule(where + kernel, f"{target}.conv.weight", "conv"))
        rules += norm_rules(where + norm, f"{target}.norm", NORM)
    rules += _separable(r"aspp(?P<branch>[123])", "decoder.aspp.atrous.{branch-1}", norm, keras=keras)
    rules += _separable(rf"{decoder}decoder_conv(?P<branch>[01])", "decoder.refine.{branch}", norm, keras=keras)
    return rules


def _separable(where: str, target: str, norm: str, *, keras: bool = False) -> list[Rule]:
    """Return the rules of one split separable convolution."""
    depthwise, pointwise = ("depthwise_kernel", "kernel") if keras else ("depthwise_weights", "weights")
    return [
        Rule(f"{where}_depthwise/{depthwise}", f"{target}.depthwise.weight", "depthwise"),
        *norm_rules(f"{where}_depthwise{norm}", f"{target}.norm_mid", NORM),
        Rule(f"{where}_pointwise/{pointwise}", f"{target}.pointwise.weight", "conv"),
        *norm_rules(f"{where}_pointwise{norm}", f"{target}.norm_out", NORM),
    ]
