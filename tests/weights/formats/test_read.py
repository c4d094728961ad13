"""The format of a file is recognised by its first bytes."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from xseg.weights.formats.read import read_source


def test_a_safetensors_header_of_any_length_is_not_taken_for_a_pickle(tmp_path):
    starts = set()
    for length in range(0, 256, 8):  # headers are padded to 8 bytes
        path = tmp_path / f"{length}.safetensors"
        save_file({"weight": torch.ones(2)}, path, metadata={"text": "x" * length})
        starts.add(path.read_bytes()[:1])
        assert torch.equal(read_source(path).tensors["weight"], torch.ones(2))
    assert b"\x80" in starts, "which is how pickles start"
