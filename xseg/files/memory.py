"""Memory of the machine, of the container, of this process and of a GPU, in bytes."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

_CGROUP = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")


def free_memory(device: torch.device | None = None) -> int:
    """Return a GPU's memory, or else the machine's or container's, that is free without taking any from programs."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return min(int(psutil.virtual_memory().available), _container_memory())


def held_memory() -> int:
    """Return the memory that this process uses now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory(device: torch.device | None = None) -> int:
    """Return this process's peak memory, or that of its tensors on a GPU; the current use if none is known (macOS)."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):  # Linux. Not getrusage, which includes the program before exec
        found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    usage = psutil.Process().memory_info()
    return int(getattr(usage, "peak_wset", usage.rss))  # Windows records the peak under this name


def forget_peak() -> None:
    """Reset the peak memory use of this process, if the system allows it (Linux).

    Source: proc(5), /proc/pid/clear_refs.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _container_memory() -> int:
    """Return the memory left by the control group's limit (Linux, version 2), or a number above any memory."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return 1 << 62
    # The kernel frees the page cache when memory is requested
    return max(0, limit - used + int(statistics.get("inactive_file", 0)))
