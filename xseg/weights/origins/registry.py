"""Recognise the origin of weights by their keys, and describe the network by keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from xseg.encoders.variants import KERAS_NORM, PYTORCH_NORM, VARIANTS, encoder_spec
from xseg.errors import WeightsError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.known import label_set
from xseg.labels.label_map import LabelMap
from xseg.models.config import ModelConfig
from xseg.nn.norm import NormSpec
from xseg.weights.formats.source import Source
from xseg.weights.origins import pytorch, tensorflow
from xseg.weights.origins.rules import Rule, drop, refuse

# TF DeepLab core/xception.py (encoder) and model.py (head): decay 0.9997.
TF_NORM, TF_HEAD = NormSpec(eps=1e-3, momentum=0.0003), NormSpec(eps=1e-5, momentum=0.0003)
# bonlime model.py: the default of SepConv_BN, and its argument for the head; Keras's momentum 0.99.
BONLIME_NORM, BONLIME_HEAD = KERAS_NORM, NormSpec(eps=1e-5, momentum=0.01)
# SegmenTron configs/cityscapes_deeplabv3_plus.yaml: BN_EPS_FOR_ENCODER 1e-3, the rest PyTorch's.
SEGMENTRON_NORM, SEGMENTRON_HEAD = NormSpec(eps=1e-3, momentum=0.1), PYTORCH_NORM
FLOWS = {(3, 8): "xception41", (3, 16): "xception65", (5, 16): "xception71"}
BLOCKS = {13: "xception41", 21: "xception65", 23: "xception71"}
TF_SCOPE = re.compile(r"(xception_\d+)/entry_flow/conv1_1/weights")


@dataclass(frozen=True)
class Plan:
    """Description of a source and its conversion.

    Args:
        origin: name of the origin.
        encoder: our name of its encoder.
        rules: table that renames its tensors.
        norm: epsilon and momentum of the encoder's batch normalisations.
        config: configuration of the whole model; None for an encoder.
        labels: classes of the model; None for an encoder.
        normalization: normalisation of its input.
        notes: notes for the user.
    """

    origin: str
    encoder: str
    rules: Sequence[Rule]
    norm: NormSpec
    config: ModelConfig | None = None
    labels: LabelMap | None = None
    normalization: Normalization = field(default_factory=Normalization)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """A project with known weights.

    Args:
        name: name of the project.
        signature: regular expressions, each of which matches a name, without prefixes, in every source of this origin.
        plan: function that describes a source from its keys and shapes.
    """

    name: str
    signature: tuple[str, ...]
    plan: Callable[[Source], Plan]


def plan_conversion(source: Source) -> tuple[Source, Plan]:
    """Recognise a source.

    Returns:
        The source without the prefixes of wrappers, and its description.

    Raises:
        WeightsError: if its keys are unknown, or belong to a project that cannot be converted faithfully.
    """
    source = unwrap(source)
    refuse(source)
    for origin in ORIGINS:
        if all(matching(pattern, source.tensors) for pattern in origin.signature):
            plan = origin.plan(source)
            return source, replace(plan, norm=_norm(source, plan.norm))
    first = ", ".join(list(source.tensors)[:3]) or "nothing"
    got = f"{source.name} holds tensors like {first}"
    raise WeightsError(got, expected=f"an Xception of {', '.join(dict.fromkeys(origin.name for origin in ORIGINS))}")


def _norm(source: Source, norm: NormSpec) -> NormSpec:
    """Return epsilon and momentum from the source, or else those of its origin."""
    try:
        return NormSpec(
            eps=float(source.metadata.get("epsilon", norm.eps)),
            momentum=float(source.metadata.get("momentum", norm.momentum)),
        )
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{source.name}: {error}", expected="epsilon and momentum as numbers") from error


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a regular expression matches completely."""
    compiled = re.compile(pattern)
    return [name for name in names if compiled.fullmatch(name)]


def unwrap(source: Source) -> Source:
    """Return a source without the prefixes of wrappers, such as "module."."""
    tensors = dict(source.tensors)
    for prefix in ("module.", "model.", "_orig_mod.", "net.", "network.", "backbone."):
        inside = [name for name in tensors if name.startswith(prefix)]
        if inside and len(inside) == len(tensors):
            tensors = {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return replace(source, tensors=tensors)


def _keras(_source: Source) -> Plan:
    return Plan("keras", "xception", tensorflow.keras_rules(), KERAS_NORM, notes=("padding='tf_same' equals Keras's",))


def _timm(source: Source) -> Plan:
    blocks = _count(r"blocks[._](\d+)\..*", source) + 1
    encoder = BLOCKS.get(blocks)
    if encoder is None:
        raise WeightsError(f"{source.name} has {blocks} blocks", expected="13, 21 or 23: timm's 41, 65 or 71")
    encoder += "p" if matching(r"blocks[._]\d+\.norm\.weight", source.tensors) else ""
    return Plan("timm", encoder, pytorch.timm_rules(), encoder_spec(encoder).batch_norm)


def _cadene(_source: Source) -> Plan:
    return Plan("cadene", "xception", pytorch.cadene_rules(), PYTORCH_NORM)


def _smp(source: Source, encoder: Callable[[Source], Plan]) -> Plan:
    """Plan for a whole SMP model: its encoder only. SMP's decoders use other feature maps than ours."""
    names = {re.sub(r"^encoder\.(model\.)?", "", name): tensor for name, tensor in source.tensors.items()}
    inner = encoder(replace(source, tensors=names))
    rules = [replace(rule, pattern=rf"encoder\.(model\.)?(?:{rule.pattern})") for rule in inner.rules]
    return replace(inner, origin="smp", rules=[*rules, drop(pytorch.SMP_HEAD, pytorch.SMP_REASON)])


def _tensorflow(source: Source) -> Plan:
    scope = next(match[1] for name in source.tensors if (match := TF_SCOPE.fullmatch(name)))
    entry = _count(rf"{scope}/entry_flow/block(\d+)/.*", source)
    flows = (entry, _count(rf"{scope}/middle_flow/block1/unit_(\d+)/.*", source))
    encoder = FLOWS.get(flows)
    if encoder is None or encoder != scope.replace("_", ""):
        got = f"{source.name}: scope {scope} has {flows[0]} entry blocks and {flows[1]} middle units"
        expected = f"those of {scope}" if encoder is None else f"scope {encoder.replace('n', 'n_')} for these blocks"
        raise WeightsError(got, expected=expected)
    rules = tensorflow.tensorflow_rules(scope, entry=flows[0], middle=flows[1])
    plan = Plan("tensorflow", encoder, rules, TF_NORM)
    logits = source.tensors.get("logits/semantic/weights")
    return plan if logits is None else _with_head(plan, source, logits.shape[-1], TF_HEAD)


def _bonlime(source: Source) -> Plan:
    middle = _count(r"middle_flow_unit_(\d+)_.*", source)
    if middle != 16:
        raise WeightsError(f"{source.name} has {middle} middle units", expected="the 16 of bonlime's X-65")
    plan = Plan("bonlime", "xception65", tensorflow.bonlime_rules(middle), BONLIME_NORM)
    logits = matching(r"(custom_)?logits_semantic/kernel", source.tensors)
    if not logits:
        return plan
    plan = _with_head(plan, source, source.tensors[logits[0]].shape[-1], BONLIME_HEAD)
    config = plan.config and replace(plan.config, padding="tf_same")
    return replace(plan, config=config, notes=("the stem has Keras's SAME padding",))


def _segmentron(source: Source) -> Plan:
    plan = Plan("segmentron", "xception65", pytorch.segmentron_rules(), SEGMENTRON_NORM)
    logits = source.tensors.get("head.block.2.weight")
    if logits is None:
        return plan
    for name in ("head.aspp.aspp0.conv.weight", "head.c1_block.conv.weight"):
        if name not in source.tensors:
            got = f"{source.name} has no {name}"
            raise WeightsError(got, expected="SegmenTron's DeepLabV3+ with USE_ASPP and ENABLE_DECODER")
    return _with_head(plan, source, logits.shape[0], SEGMENTRON_HEAD)


def _with_head(plan: Plan, source: Source, classes: int, head: NormSpec) -> Plan:
    """Add the whole model to a plan: its parts from the keys, and its classes from their number."""
    names = source.tensors
    aspp = bool(matching(r"(head\.aspp\.)?aspp0\b.*", names))
    labels, known = label_set(classes)
    config = ModelConfig(
        encoder=plan.encoder,
        classes=classes,
        aspp=aspp,
        decoder=bool(matching(r"(decoder/)?feature_projection0.*|head\.c1_block.*", names)),
        image_pooling=aspp and bool(matching(r"(head\.aspp\.)?image_pooling.*", names)),
        atrous_rates=None if not aspp or matching(r"(head\.aspp\.)?aspp1\b.*|aspp1_.*", names) else (),
        multi_grid=tuple(source.metadata.get("multi_grid", (1, 1, 1))),
        encoder_norm_eps=plan.norm.eps,
        encoder_norm_momentum=plan.norm.momentum,
        decoder_norm_eps=head.eps,
        decoder_norm_momentum=head.momentum,
    )
    note = f"{classes} classes: names of {known}" if known else f"{classes} classes: numbered, no known set"
    return replace(plan, config=config, labels=labels, notes=(*plan.notes, note))


def _own(source: Source) -> Plan:
    """Plan for xseg's own files, with the model from the bundle's configuration, if there is one."""
    prefix = "" if "stem.conv1.conv.weight" in source.tensors else "encoder."
    metadata = source.metadata
    try:
        config = from_plain(ModelConfig, metadata["model"], "model") if metadata.get("model") else None
        labels = LabelMap.from_dict(dict(metadata["labels"])) if metadata.get("labels") else None
        normalization = from_plain(Normalization, metadata.get("normalization") or {}, "normalization")
    except (TypeError, ValueError, AttributeError) as error:
        got = f"{source.name} has a wrong description: {error}"
        raise WeightsError(got, expected="a file written by xseg") from error
    named = metadata.get("encoder")
    encoder = config.encoder if config else named if named in VARIANTS else _own_encoder(source, prefix)
    spec = encoder_spec(encoder)
    norm = (spec.with_norm(config.encoder_norm_eps, config.encoder_norm_momentum) if config else spec).batch_norm
    notes = ("the moving average of the weights is used",) if metadata.get("averaged") else ()
    return Plan("xseg", encoder, pytorch.own_rules(), norm, config, labels, normalization, notes)


def _own_encoder(source: Source, prefix: str) -> str:
    """Return the encoder's name from its number of blocks and the positions of its normalisations."""
    aligned = BLOCKS.get(_count(re.escape(prefix) + r"blocks\.(\d+)\..*", source) + 1, "xception65")
    if f"{prefix}blocks.0.convs.1.norm_in.weight" in source.tensors:
        return aligned + "p"
    return aligned if f"{prefix}blocks.0.convs.0.norm_mid.weight" in source.tensors else "xception"


def _count(pattern: str, source: Source) -> int:
    """Return the highest number that the group of the pattern matches; -1 if none."""
    compiled = re.compile(pattern)
    return max((int(match[1]) for name in source.tensors if (match := compiled.fullmatch(name))), default=-1)


ORIGINS = (
    Origin("xseg", (r"(encoder\.)?stem\.conv1\.conv\.weight",), _own),
    Origin("tensorflow", (TF_SCOPE.pattern,), _tensorflow),
    Origin("bonlime", (r"entry_flow_conv1_1/kernel", r"exit_flow_block2_separable_conv3_pointwise/kernel"), _bonlime),
    Origin("keras", (r"block1_conv1/kernel", r"block14_sepconv2/(depthwise|pointwise)_kernel"), _keras),
    Origin("timm", (r"stem\.0\.conv\.weight", r"blocks\.0\.stack\.conv1\.conv_dw\.weight"), _timm),
    Origin(
        "smp",
        (r"encoder\.(model\.)?conv1\.weight", r"encoder\.(model\.)?block12\.rep\..*"),
        partial(_smp, encoder=_cadene),
    ),
    Origin(
        "smp",
        (r"encoder\.(model\.)?stem[._]0\.conv\.weight", r"encoder\.(model\.)?blocks[._]0\.stack\..*"),
        partial(_smp, encoder=_timm),
    ),
    Origin("segmentron", (r"(encoder\.)?block1\.sep_conv1\.block\.depthwise\.weight",), _segmentron),
    Origin("cadene", (r"conv1\.weight", r"block12\.rep\..*", r"conv4\.pointwise\.weight"), _cadene),
)
