"""Encoder weights as a safetensors file, with their settings in its header."""

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
    """Write the weights of an encoder of full depth, completely or not at all."""
    header = {
        "encoder": encoder,
        "epsilon": norm.eps,
        "momentum": norm.momentum,
        "normalization": asdict(normalization),
        "source": source,
    }
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt", DESCRIPTION: json.dumps(header)})
        temporary.chmod(0o644)  # safetensors makes the file private
