"""Tables of all Xception encoders."""

from __future__ import annotations

from xseg.encoders.spec import EncoderSpec, Stage
from xseg.errors import unknown_name
from xseg.nn.norm import NormSpec

# Keras: epsilon 1e-3, momentum 0.99. TF DeepLab: epsilon 1e-3, decay 0.9997, too slow for a short training, so timm's
# 0.1 is used here. Only timm's 41p has PyTorch's epsilon.
KERAS_NORM = NormSpec(eps=1e-3, momentum=0.01)
ALIGNED_NORM = NormSpec(eps=1e-3, momentum=0.1)
PYTORCH_NORM = NormSpec(eps=1e-5, momentum=0.1)


def original_xception() -> tuple[Stage, ...]:
    """Return the 12 residual blocks and the last two convolutions of Chollet 2017, Figure 5."""
    entry = [Stage((width,) * 2, stride=2, skip="conv") for width in (128, 256, 728)]
    middle = [Stage((728,) * 3)] * 8
    exits = [Stage((728, 1024), stride=2, skip="conv"), Stage((1536, 2048), skip="none", activation="after")]
    return (*entry, *middle, *exits)


def aligned_xception(*entry: Stage, middle: int, last: Stage) -> tuple[Stage, ...]:
    """Return DeepLab's Xception: `entry` blocks, `middle` blocks of 728 channels, the strided exit block, `last`."""
    return (*entry, *[Stage((728,) * 3)] * middle, Stage((728, 1024, 1024), stride=2, skip="conv"), last)


ORIGINAL = "Chollet 2017, Figure 5; keras.applications.Xception"
ENTRY = tuple(Stage((width,) * 3, stride=2, skip="conv") for width in (128, 256, 728))
ENTRY_71 = (
    Stage((128,) * 3, stride=2, skip="conv"),
    Stage((256,) * 3, skip="conv"),
    Stage((256,) * 3, stride=2, skip="conv"),
    Stage((728,) * 3, skip="conv"),
    Stage((728,) * 3, stride=2, skip="conv"),
)
LAST = Stage((1536, 1536, 2048), skip="none", activation="after")
LAST_PREACTIVATED = Stage((1536, 1536, 2048), skip="none")


def _aligned(name: str, stages: tuple[Stage, ...]) -> EncoderSpec:
    source = "TF DeepLab core/xception.py; Chen et al. 2018, Figure 4"
    return EncoderSpec(name, stages, "each", "separable", "same", ALIGNED_NORM, source)


def _preactivated(name: str, stages: tuple[Stage, ...], norm: NormSpec) -> EncoderSpec:
    return EncoderSpec(name, stages, "first", "separable", "same", norm, "timm xception_aligned.py")


VARIANTS: dict[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        EncoderSpec("xception", original_xception(), "last", "max_pool", "valid", KERAS_NORM, ORIGINAL),
        _aligned("xception41", aligned_xception(*ENTRY, middle=8, last=LAST)),
        _aligned("xception65", aligned_xception(*ENTRY, middle=16, last=LAST)),
        _aligned("xception71", aligned_xception(*ENTRY_71, middle=16, last=LAST)),
        _preactivated("xception41p", aligned_xception(*ENTRY, middle=8, last=LAST_PREACTIVATED), PYTORCH_NORM),
        _preactivated("xception65p", aligned_xception(*ENTRY, middle=16, last=LAST_PREACTIVATED), ALIGNED_NORM),
    )
}


def list_encoders() -> list[str]:
    """Return the names of all encoders."""
    return list(VARIANTS)


def encoder_spec(name: str) -> EncoderSpec:
    """Return the table of an encoder.

    Raises:
        ConfigError: if no encoder has this name.
    """
    if name not in VARIANTS:
        raise unknown_name("encoder", name, VARIANTS)
    return VARIANTS[name]
