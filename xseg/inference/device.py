"""Selection of device and precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from xseg.errors import ConfigError
from xseg.types import Precision


def select_device(name: str) -> torch.device:
    """Return the device with a name.

    Args:
        name: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ConfigError: if the device does not exist.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name!r}", expected="auto, cpu, cuda, cuda:0 or mps") from error
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= available.get(device.type, 0):
        here = ", ".join(f"{count} {kind}" for kind, count in available.items() if count)
        raise ConfigError(f"device={name!r}", expected=f"a device of this machine ({here})", remedy="use auto")
    return device


def precision_context(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which a model computes in `precision` on `device`; weights stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch_type(precision))


def torch_type(precision: Precision) -> torch.dtype:
    """Return torch's type for a precision."""
    kind: torch.dtype = getattr(torch, precision)
    return kind


def native_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware supports bfloat16, which is then faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
