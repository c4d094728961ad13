"""Memory of a model per pixel, and the resulting tile size."""

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

SHARE = 0.5  # share of the free memory that a prediction may use
WORKSPACE = 1.5  # factor for buffers of the convolutions besides the tensors, measured on a CPU
LARGEST_TILE = 2049  # larger tiles save little overlap
SMALLEST_TILE = 257
_PROBE = 257  # side of the image that a model is measured on, in pixels

_measured: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def bytes_per_pixel(model: nn.Module, channels: int) -> float:
    """Return the peak memory of a model per input pixel in bytes, measured once per model.

    The model, from (N, channels, H, W) to logits, runs on a small image, on its own device.
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
    """Choose between the whole image and tiles, and the size of the tiles.

    Args:
        model: module from (N, channels, H, W) to logits, or an nn.ModuleList of those that take turns on each image;
            measured if necessary.
        height: height of the image in pixels.
        width: width of the image in pixels.
        channels: number of input channels.
        tile: side of a tile in pixels; 0 for the whole image; "auto" for the whole image if it fits into half of the
            free memory, else the largest tile that fits, up to 2049.
        overlap: overlap in pixels; None for twice the radius of the model's effective receptive field, so that both
            tiles have their context where their weights are equal.
        scale: largest scale at which the model runs.
        batch_size: number of tiles per batch.

    Raises:
        ConfigError: if tile and overlap do not fit together.
    """
    check_tiling(tile, overlap)
    models = [*model] if isinstance(model, nn.ModuleList) else [model]
    if tile == "auto":
        device = next(model.parameters()).device
        most = max(bytes_per_pixel(one, channels) for one in models)
        pixels = SHARE * free_memory(device) / (most * max(scale, 1.0) ** 2)
        fits = math.isqrt(int(pixels / batch_size)) // ALIGNMENT * ALIGNMENT + 1
        side = 0 if height * width <= pixels else min(max(fits, SMALLEST_TILE, 2 * (overlap or 0)), LARGEST_TILE)
    else:
        side = int(tile)
    if side == 0 or (side >= height and side >= width):
        return Tiling(0, 0)
    if overlap is None:
        radius = max(context(one, channels) for one in models)
        overlap = min(-(-2 * radius // ALIGNMENT) * ALIGNMENT, side // 2)
    check_tiling(side, overlap)
    return Tiling(side, overlap)


def refuse_oversized(path: PathArgument, height: int, width: int, *, channels: int) -> None:
    """Refuse an image of a size in pixels and a number of channels, with one byte each, before decoding.

    Raises:
        DataError: if the decoded image would take more than half of the free memory.
    """
    size, limit = height * width * channels, SHARE * free_memory()
    if size > limit:
        how = "gdal_translate -co TILED=YES -co COMPRESS=DEFLATE"
        raise DataError(
            f"{path} has {height}x{width} pixels, {size / 2**30:.1f} GiB when decoded",
            expected=f"at most {limit / 2**30:.1f} GiB, half of the free memory",
            remedy=f"convert it to a tiled GeoTIFF, which is read by windows: {how}",
        )


@torch.inference_mode()
def _peak_bytes(model: nn.Module, channels: int, side: int) -> int:
    parameter = next(model.parameters())
    with _LiveBytes() as live:
        images = torch.zeros(1, channels, side, side, device=parameter.device, dtype=parameter.dtype)
        probabilities = model(images).softmax(dim=1)
        probabilities.mul(2.0)  # the weighting of overlaps makes a copy
    return int(live.peak)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the memory of all live tensors after each operation."""

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
