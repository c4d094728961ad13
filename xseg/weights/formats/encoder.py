"""An encoder's weights as one safetensors file, with what belongs to them in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from xseg.files.atomic import atomic_path
from xseg.images.normalization import Normalization
from xseg.nn.norm import NormSpec
from xseg.weights.formats.torch import DESCRIPTION


def save_encoder(
    path: Path, state: Mapping[str, Tensor], *, encoder: str, norm: NormSpec, normalization: Normalization, source: str
) -> None:
    """Write an encoder's weights; the file appears whole or not at all.

    Args:
        path: the file.
        state: the encoder's state at full depth.
        encoder: its name.
        norm: the numbers of its batch normalisations.
        normalization: of its input.
        source: where the weights came from.
    """
    header = {
        "encoder": encoder,
        "epsilon": norm.eps,
        "momentum": norm.momentum,
        "normalization": asdict(normalization),
        "source": source,
    }
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    with atomic_path(path) as beside:
        save_file(tensors, beside, metadata={"format": "pt", DESCRIPTION: json.dumps(header)})
        beside.chmod(0o644)  # safetensors makes it private
