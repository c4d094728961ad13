"""PyTorch projects: timm, Cadene's pretrainedmodels (also used by SMP), SegmenTron."""

from __future__ import annotations

from xseg.weights.origins.rules import Rule, drop, norm_rules

SMP_HEAD = r"(decoder|segmentation_head|classification_head)\..*"
SMP_REASON = "another project's decoder, which uses other feature maps"


def timm_rules() -> list[Rule]:
    """Return the table of timm's aligned Xceptions, including the pre-activated ones."""
    block = r"blocks[._](?P<block>\d+)\."  # timm's feature extractors, which SMP uses, flatten the first point
    conv = block + r"stack\.conv(?P<conv>\d)\."
    ours, inside = "encoder.blocks.{block}", "encoder.blocks.{block}.convs.{conv-1}"
    return [
        Rule(r"stem[._](?P<conv>[01])\.conv\.weight", "encoder.stem.conv{conv+1}.conv.weight"),
        *norm_rules(r"stem[._](?P<conv>[01])\.bn\.", "encoder.stem.conv{conv+1}.norm"),
        Rule(r"stem[._]1\.weight", "encoder.stem.conv2.conv.weight"),
        Rule(conv + r"conv_dw\.weight", inside + ".depthwise.weight"),
        Rule(conv + r"conv_pw\.weight", inside + ".pointwise.weight"),
        *norm_rules(conv + r"bn_dw\.", inside + ".norm_mid"),
        *norm_rules(conv + r"bn_pw\.", inside + ".norm_out"),
        *norm_rules(conv + r"norm\.", inside + ".norm_in"),
        *norm_rules(block + r"norm\.", ours + ".norm_in"),
        Rule(block + r"shortcut(\.conv)?\.weight", ours + ".shortcut.conv.weight"),
        *norm_rules(block + r"shortcut\.bn\.", ours + ".shortcut.norm"),
        drop(r"head\.fc\.(weight|bias)", "the ImageNet classifier"),
    ]


def cadene_rules() -> list[Rule]:
    """Return the table of Cadene's Xception.

    A block's `rep` is a sequence of ReLU, convolution and normalisation. Block 1 lacks the first ReLU, so its
    convolutions are at 0 and 3 instead of 1, 4 and 7.
    """
    rules = [
        Rule(r"conv(?P<conv>[12])\.weight", "encoder.stem.conv{conv}.conv.weight"),
        *norm_rules(r"bn(?P<conv>[12])\.", "encoder.stem.conv{conv}.norm"),
        Rule(r"block(?P<block>\d+)\.skip\.weight", "encoder.blocks.{block-1}.shortcut.conv.weight", "matrix"),
        *norm_rules(r"block(?P<block>\d+)\.skipbn\.", "encoder.blocks.{block-1}.shortcut.norm"),
        drop(r"(fc|last_linear)\.(weight|bias)", "the ImageNet classifier"),
    ]
    others = r"block(?P<block>[2-9]|1[0-2])"
    places = [("block1", "encoder.blocks.0", (0, 3)), (others, "encoder.blocks.{block-1}", (1, 4, 7))]
    for where, block, positions in places:
        for number, position in enumerate(positions):
            target = f"{block}.convs.{number}"
            rules += _separable(rf"{where}\.rep\.{position}", rf"{where}\.rep\.{position + 1}", target)
    for number, (conv, norm) in enumerate((("conv3", "bn3"), ("conv4", "bn4"))):
        rules += _separable(conv, norm, f"encoder.blocks.12.convs.{number}")
    return rules


def _separable(conv: str, norm: str, target: str) -> list[Rule]:
    return [
        Rule(conv + r"\.conv1\.weight", f"{target}.depthwise.weight"),
        Rule(conv + r"\.pointwise\.weight", f"{target}.pointwise.weight", "matrix"),
        *norm_rules(norm + r"\.", f"{target}.norm_out"),
    ]


def segmentron_rules() -> list[Rule]:
    """Return the table of SegmenTron's Xception-65 and DeepLabV3+; the encoder's prefix is optional."""
    encoder = r"(encoder\.)?"
    block = encoder + r"block(?P<block>\d+)\."
    rules = [
        Rule(encoder + r"conv(?P<conv>[12])\.weight", "encoder.stem.conv{conv}.conv.weight"),
        *norm_rules(encoder + r"bn(?P<conv>[12])\.", "encoder.stem.conv{conv}.norm"),
        *_split(block + r"sep_conv(?P<conv>\d)", "encoder.blocks.{block-1}.convs.{conv-1}"),
        Rule(block + r"conv\.weight", "encoder.blocks.{block-1}.shortcut.conv.weight"),
        *norm_rules(block + r"bn\.", "encoder.blocks.{block-1}.shortcut.norm"),
        *_split(r"head\.aspp\.aspp(?P<branch>[123])", "decoder.aspp.atrous.{branch-1}"),
        *_split(r"head\.block\.(?P<branch>[01])", "decoder.refine.{branch}"),
        Rule(r"head\.block\.2\.weight", "segmentation_head.weight"),
        Rule(r"head\.block\.2\.bias", "segmentation_head.bias"),
        drop(r"auxlayer\..*", "the auxiliary head, which only training uses"),
        drop(encoder + r"fc\.(weight|bias)", "the ImageNet classifier"),
    ]
    for where, target in (
        (r"head\.aspp\.image_pooling\.", "decoder.aspp.pooling"),
        (r"head\.aspp\.aspp0\.", "decoder.aspp.pointwise"),
        (r"head\.aspp\.", "decoder.aspp.projection"),
        (r"head\.c1_block\.", "decoder.low_projection"),
    ):
        rules.append(Rule(where + r"conv\.weight", f"{target}.conv.weight"))
        rules += norm_rules(where + r"bn\.", f"{target}.norm")
    return rules


def _split(where: str, target: str) -> list[Rule]:
    return [
        Rule(where + r"\.block\.depthwise\.weight", f"{target}.depthwise.weight"),
        *norm_rules(where + r"\.block\.bn_depth\.", f"{target}.norm_mid"),
        Rule(where + r"\.block\.pointwise\.weight", f"{target}.pointwise.weight"),
        *norm_rules(where + r"\.block\.bn_point\.", f"{target}.norm_out"),
    ]


def own_rules() -> list[Rule]:
    """Return the table of xseg itself, which keeps every name; an encoder file may lack the prefix."""
    return [
        Rule(r"(?P<name>(encoder|decoder|segmentation_head)\..*)", "{name}"),
        Rule(r"(?P<name>(stem|blocks)\..*)", "encoder.{name}"),
        drop(r"(fully_connected|head)\..*", "the classifier's layers after pooling"),
    ]
