"""Running converted weights beside their originals: what the parity table and the tests of the weights share."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.models.build import build_model


def randomize(module, seed=0):
    """Give normalisations statistics that differ from 0 and 1, so that none can be mistaken for another."""
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.6, 1.4)
            nn.init.normal_(part.bias, 0, 0.2)
            nn.init.normal_(part.running_mean, 0, 0.2)
            nn.init.uniform_(part.running_var, 0.6, 1.4)
    return module.eval()


def encoder_runner(conversion, padding="symmetric", subsampled_to=None):
    """Run ours; with `subsampled_to`, take every so many pixels of a denser map, where the original has no stride."""
    state = conversion.encoder_state()

    def run(images, stride):
        with torch.device("meta"):
            spec = replace(encoder_spec(conversion.encoder), batch_norm=conversion.plan.norm)
            encoder = XceptionEncoder(spec, output_stride=stride, padding=padding)
        encoder.load_state_dict(state, assign=True)
        maps = encoder.eval()(images)
        steps = [max(1, min(2**level, subsampled_to or 1) // stride) for level in range(6)]
        return {str(level): maps[level][..., :: steps[level], :: steps[level]] for level in range(1, 6)}

    return run


def model_runner(conversion):
    with torch.device("meta"):
        wanted = build_model(conversion.config).state_dict()
    state = conversion.model_state(wanted)

    def run(images, stride):
        with torch.device("meta"):
            model = build_model(conversion.config.at_output_stride(stride))
        model.load_state_dict(state, assign=True)
        maps = {str(level): value for level, value in enumerate(model.eval().encoder(images)) if level}
        return {**maps, "logits": model(images)}

    return run
