"""What a reader makes of a file: tensors by the names that the file has for them, and what else it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xseg.errors import WeightsError

MAX_ELEMENTS = 2**28  # of one tensor: 1 GiB of float32; the largest of a DeepLabV3+ has 3 million


@dataclass(frozen=True)
class Source:
    """The content of a weights file, before anything is renamed.

    Args:
        name: what errors call it: the file.
        tensors: by the file's own names.
        facts: what the file says besides, for example {"epsilon": 0.001}; plain values.
        dropped: what the reader left out on purpose, name to reason: optimizer state and the like.
    """

    name: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)


def as_float32(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as contiguous float32; integers, which counters are, stay as they are.

    Raises:
        WeightsError: if it holds NaN or infinity, or complex or quantised numbers.
    """
    if not tensor.is_floating_point():
        if tensor.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
            return tensor
        raise WeightsError(f"{name} holds {tensor.dtype} values", expected="floating-point numbers")
    tensor = tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()
    # Summing is one pass without a temporary, and any NaN or infinity survives it. So does a sum that is too large
    # for float32, which the closer look then clears.
    if not bool(torch.isfinite(tensor.sum())):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise WeightsError(
                f"{name} has {bad} of {tensor.numel()} values that are not finite",
                expected="numbers",
                remedy="the file is damaged, or its training diverged; take another copy",
            )
    return tensor


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a tensor that claims to be absurdly large, before memory is reserved for it.

    Raises:
        WeightsError: if it has more than `MAX_ELEMENTS` values.
    """
    elements = 1
    for side in shape:
        elements *= max(int(side), 0)
    if elements > MAX_ELEMENTS:
        raise WeightsError(
            f"{name} claims {elements} values, shape {list(shape)}",
            expected=f"at most {MAX_ELEMENTS}",
            remedy="the file is damaged or made to exhaust memory",
        )
