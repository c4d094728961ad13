"""Cache of converted networks."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import torch
from torch import nn

from xseg.exporting.format import Format, coarse_program
from xseg.files.caches import remove_least_recent, user_cache
from xseg.models.coarse import CoarseNetwork
from xseg.version import __version__

SIZE_LIMIT = 4 << 30  # bytes; a converted Xception-65 takes 0.16 GiB


def cache_folder() -> Path:
    """Return the folder of converted networks: in `XSEG_CACHE` or the user's cache folder."""
    return user_cache("backends")


def fingerprint(network: nn.Module) -> str:
    """Return a digest of the layers, settings and weights of a network."""
    digest = hashlib.blake2b(f"{__version__}\n{torch.__version__}\n{network!r}".encode(), digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def cached_file(name: str, format: Format, network: CoarseNetwork, channels: int) -> Path:  # noqa: A002 - the field's word
    """Return the path of a network in a format, and write the file if it does not exist.

    The network is on the CPU. Above `SIZE_LIMIT`, the least recently used networks are removed.
    """
    folder = cache_folder() / f"{name}-{format.version().split('-')[0]}-{fingerprint(network)}"
    file = folder / f"network{format.suffix}"
    if file.is_file():
        os.utime(folder)
        return file
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The folder appears complete or not at all, as a second process may convert the same network.
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / "network"
        fresh.mkdir()
        format.write(coarse_program(network, channels), fresh / file.name)
        try:
            fresh.rename(folder)
        except OSError:
            if not file.is_file():  # otherwise the other process was faster
                raise
    remove_least_recent(folder.parent, SIZE_LIMIT, keep=folder)
    return file
