"""Equality with timm, which holds the aligned Xceptions in PyTorch, with the same random weights.

In double precision: what is compared is the function.
"""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from xseg.encoders.variants import VARIANTS, encoder_spec
from xseg.encoders.xception import XceptionEncoder

ALIGNED = [name for name, spec in VARIANTS.items() if spec.downsample == "separable"]


def leaves(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d)]


def in_order(block: nn.Module) -> list[nn.Module]:
    """Return a block's convolutions and normalisations, those of the shortcut last, whatever they are called."""
    shortcut = leaves(block.shortcut) if block.shortcut is not None else []
    return [part for part in leaves(block) if all(part is not other for other in shortcut)] + shortcut


def copy_from_timm(ours: XceptionEncoder, theirs: nn.Module) -> None:
    """Copy weights by the order of the layers, so that the test does not lean on the converter."""
    sources = leaves(theirs.stem) + [part for block in theirs.blocks for part in in_order(block)]
    targets = leaves(ours.stem) + [part for block in ours.blocks for part in in_order(block)]
    for source, target in zip(sources, targets, strict=True):
        target.load_state_dict(source.state_dict())
        if isinstance(source, nn.BatchNorm2d):
            assert target.eps == source.eps


def taps(network, image):
    """Return the maps that timm names in `feature_info`; older versions have no `forward_intermediates` for these."""
    found = []
    hooks = [
        network.get_submodule(info["module"]).register_forward_hook(
            lambda _module, _input, output: found.append(output.clone())
        )
        for info in network.feature_info
    ]
    network.forward_features(image)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", ALIGNED)
def test_features_equal_timms(name, output_stride, settled, waves):
    # timm decides by the stride that is left over whether a block has a convolution in its skip. At output stride 8
    # the fifth block of Xception-71 (728 to 728 channels, stride given up) loses the one that its weights have, so
    # timm computes another function there and cannot be the reference.
    reference_stride = 16 if (name, output_stride) == ("xception71", 8) else output_stride
    torch.manual_seed(0)
    theirs = timm.create_model(name, output_stride=reference_stride).double()
    settled(theirs, waves(2, 3, 65, 65).double())
    ours = XceptionEncoder(encoder_spec(name), output_stride=output_stride).double().eval()
    copy_from_timm(ours, theirs)
    image = waves(1, 3, 97, 97).double()
    preactivated = name.endswith("p")
    with torch.no_grad():
        expected = taps(theirs, image)
        features = ours(image)
    for level, (feature, reference) in enumerate(zip(features[1:], expected, strict=True), start=1):
        last = level == 5
        # timm's taps of the aligned ones are after the ReLU; of the pre-activated ones, only ours ends in one.
        compared = feature if preactivated or last else feature.relu()
        target = reference.relu() if preactivated and last else reference
        step = max(1, min(2**level, reference_stride) // min(2**level, output_stride))
        difference = (compared[..., ::step, ::step] - target).abs().max() / target.abs().max()
        assert float(difference) < 1e-5, f"map {level}"


def test_timm_loses_a_shortcut_of_xception71_at_output_stride_8():
    kept = [
        sum(block.shortcut is not None for block in timm.create_model("xception71", output_stride=stride).blocks)
        for stride in (8, 16)
    ]
    assert kept[1] == kept[0] + 1
