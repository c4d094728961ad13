"""Memory that a model needs per pixel, and the size of the tiles that follows from it."""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xseg.errors import DataError
from xseg.files.memory import free_memory
from xseg.inference.receptive_field import context
from xseg.inference.tiling import ALIGNMENT, TileOption, Tiling, check_tiling
from xseg.types import PathArgument

SHARE = 0.5  # of the free memory that a prediction may take
WORKSPACE = 1.5  # what a model takes over its tensors: the convolutions' own buffers; measured on a CPU
LARGEST_TILE = 2049  # beyond, overlaps cost little already
SMALLEST_TILE = 257
_PROBE = 257  # side of the image that a model is measured on, in pixels

_measured: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def bytes_per_pixel(model: nn.Module, channels: int) -> float:
    """Return what one pixel of its input makes a model hold at most at a time, in bytes; measured once per model.

    Args:
        model: maps (N, channels, H, W) to logits; it runs on a small image, where it is.
        channels: number of input channels.
    """
    if model not in _measured:
        _measured[model] = WORKSPACE * _peak_bytes(model, channels, _PROBE) / _PROBE**2
    return _measured[model]


def choose_tiling(
    model: nn.Module,
    height: int,
    width: int,
    *,
    channels: int,
    tile: TileOption = "auto",
    overlap: int | None = None,
    scale: float = 1.0,
    batch_size: int = 1,
) -> Tiling:
    """Choose whole image or tiles, and how large.

    Args:
        model: maps (N, channels, H, W) to logits; measured where something is to be chosen.
        height: of the image in pixels.
        width: of the image in pixels.
        channels: number of input channels.
        tile: "auto": the whole image if it fits into half of the free memory, else the largest tile that fits, up to
            2049; 0: the whole image; or the side of a tile in pixels.
        overlap: in pixels; None for twice the radius of the model's effective receptive field, so that where two
            tiles count the same, both have their context.
        scale: the largest size that the model runs at.
        batch_size: tiles that go through together.

    Raises:
        ConfigError: if tile and overlap do not go together.
    """
    check_tiling(tile, overlap)
    if tile == "auto":
        device = next(model.parameters()).device
        pixels = SHARE * free_memory(device) / (bytes_per_pixel(model, channels) * max(scale, 1.0) ** 2)
        fits = math.isqrt(int(pixels / batch_size)) // ALIGNMENT * ALIGNMENT + 1
        side = 0 if height * width <= pixels else min(max(fits, SMALLEST_TILE, 2 * (overlap or 0)), LARGEST_TILE)
    else:
        side = int(tile)
    if side == 0 or (side >= height and side >= width):
        return Tiling(0, 0)
    if overlap is None:
        overlap = min(-(-2 * context(model, channels) // ALIGNMENT) * ALIGNMENT, side // 2)
    check_tiling(side, overlap)
    return Tiling(side, overlap)


def refuse_oversized(path: PathArgument, height: int, width: int, *, channels: int) -> None:
    """Refuse a picture that would not fit into memory, before it is decoded.

    Args:
        path: the picture's file, for the message.
        height: in pixels, from the file's header.
        width: in pixels.
        channels: that the decoded picture will have, of one byte each.

    Raises:
        DataError: if the decoded picture would take more than half of the free memory.
    """
    size, free = height * width * channels, free_memory()
    if size > SHARE * free:
        raise DataError(
            f"{path} has {height}x{width} pixels, {size / 2**30:.1f} GiB when decoded",
            expected=f"at most {SHARE * free / 2**30:.1f} GiB, half of the free memory",
            remedy="a tiled GeoTIFF is read by windows: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE",
        )


@torch.inference_mode()
def _peak_bytes(model: nn.Module, channels: int, side: int) -> int:
    parameter = next(model.parameters())
    with _LiveBytes() as live:
        images = torch.zeros(1, channels, side, side, device=parameter.device, dtype=parameter.dtype)
        probabilities = model(images).softmax(dim=1)
        probabilities.mul(2.0)  # weighting what overlaps makes a copy
    return int(live.peak)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of the tensors that are alive after each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._live[storage._cdata] = (reference, storage.nbytes())
        expired = [key for key, (reference, _) in self._live.items() if reference.expired()]  # type: ignore[no-untyped-call]
        for key in expired:
            del self._live[key]
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return output
