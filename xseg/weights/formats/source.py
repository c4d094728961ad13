"""Content of a weights file: tensors under the file's own names, and metadata."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xseg.errors import WeightsError

AGAIN = "copy or download it again"  # remedy for damaged files
MAX_RATIO = 200  # of unpacked to packed size; weights hardly compress, a zip bomb a thousandfold
MAX_ELEMENTS = 2**28  # of one tensor: 1 GiB of float32; the largest of a DeepLabV3+ has 3 million


@dataclass(frozen=True)
class Source:
    """Content of a weights file before renaming.

    Args:
        name: name for error messages, usually the path.
        tensors: tensors under the file's own names.
        metadata: other content of the file, for example {"epsilon": 0.001}; values that JSON can hold.
        dropped: reason for each part that the reader left out, such as optimizer state, by name.
    """

    name: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)


def as_float32(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as contiguous float32; integers (counters) are not changed.

    Raises:
        WeightsError: if it holds NaN, infinity, complex or quantised numbers.
    """
    if not tensor.is_floating_point():
        if tensor.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
            return tensor
        raise WeightsError(f"{name} holds {tensor.dtype} values", expected="floating-point numbers")
    tensor = tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()
    # The sum needs one pass without a temporary and preserves NaN and infinity. It may also overflow float32 for
    # finite values, so the values themselves are checked next.
    if not bool(torch.isfinite(tensor.sum())):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            got = f"{name} has {bad} of {tensor.numel()} values that are not finite"
            remedy = "the file is damaged, or its training diverged; use another copy"
            raise WeightsError(got, expected="numbers", remedy=remedy)
    return tensor


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a tensor with an absurd size before its memory is allocated.

    Raises:
        WeightsError: if it has more than `MAX_ELEMENTS` values.
    """
    elements = math.prod(max(int(side), 0) for side in shape)
    if elements > MAX_ELEMENTS:
        got = f"{name} claims {elements} values, shape {list(shape)}"
        expected = f"at most {MAX_ELEMENTS}"
        raise WeightsError(got, expected=expected, remedy="the file is damaged or made to exhaust memory")


def check_ratio(name: str, packed: int, unpacked: int, limit: int | None = None) -> None:
    """Refuse data that unpack to far more than their size in the file, or to more than a limit, all in bytes.

    Raises:
        WeightsError: if they unpack to more than `MAX_RATIO` times their size.
    """
    if unpacked > MAX_RATIO * max(packed, 1) or (limit is not None and unpacked > limit):
        got = f"{name} unpacks from {packed} to {unpacked} bytes"
        expected = f"at most {f'{limit} bytes and ' if limit else ''}{MAX_RATIO} times its packed size"
        raise WeightsError(got, expected=expected, remedy="it is made to exhaust memory; do not use it")


@contextmanager
def readable(
    path: object, *kinds: type[Exception], reason: str = "cannot be read", expected: str = ""
) -> Iterator[None]:
    """Turn the exceptions of a reader, those of a damaged file, into one line.

    Raises:
        WeightsError: for these exceptions.
    """
    try:
        yield
    except WeightsError:
        raise
    except kinds as error:
        detail = str(error) or type(error).__name__
        raise WeightsError(f"{path} {reason}: {detail}", expected=expected, remedy=AGAIN) from error
