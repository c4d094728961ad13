"""Environment of a training, to compare runs later."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from xseg.data.sample import Reader, Record
from xseg.errors import DataError
from xseg.types import SPLITS, Split
from xseg.version import __version__

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "WORLD_SIZE")


def describe_environment(reader: Reader, *, seed: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the information needed to repeat a training, as values that JSON can hold."""
    return {
        **describe_start(),
        "seed": seed,
        "data": {split: fingerprint for split in SPLITS if (fingerprint := data_fingerprint(reader, split))},
        "config": dict(config),
        "packages": dict(sorted({each.name.lower(): each.version for each in distributions()}.items())),
        "resumed": [],
    }


def describe_start() -> dict[str, Any]:
    """Return time, host, hardware and versions at the start of a training, or of a further part of it."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "xseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "git_commit": _git_commit(Path(__file__).parent),
        "command": sys.argv,
        "hardware": {"cpu": _cpu_name(), "cores": os.cpu_count(), "gpus": gpus},
        "threads": torch.get_num_threads(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def describe_resumed(path: Path, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a resumed training: the first description with this start added.

    Args:
        path: path of the description so far; if it cannot be read, `environment` is returned.
        environment: description of this start.
    """
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        return {**earlier, "resumed": [*earlier["resumed"], describe_start()]}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        return dict(environment)


def data_fingerprint(reader: Reader, split: Split) -> dict[str, Any] | None:
    """Return the number of records in a split and a SHA-256 of their names and file sizes; None without the split.

    Sizes are used instead of contents, as reading a large data set would take too long.
    """
    try:
        records = reader.records(split)
    except DataError:
        return None
    digest = hashlib.sha256("\n".join(reader.labels.names).encode())
    for record in records:
        digest.update("\t".join(map(str, ("", record.name, *_sizes(record)))).encode())
    if records and not records[0].image.is_file():  # generated, with names that do not depend on the content
        digest.update(reader.read(records[0]).image.tobytes())
    return {"records": len(records), "sha256": digest.hexdigest()}


def _sizes(record: Record) -> list[int]:
    """Return the sizes of a record's files in bytes; -1 for a missing file."""
    files = (record.image, record.mask, *([] if record.valid is None else [record.valid]))
    return [file.stat().st_size if file is not None and file.is_file() else -1 for file in files]


def _git_commit(folder: Path) -> str | None:
    """Return the checked out commit of a folder, with "+changes" if files differ; None without git."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        """Return git's output; None if it fails."""
        answer = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and ask("status", "--porcelain", "--untracked-files=no", ".") else commit


def _cpu_name() -> str:
    """Return the name of the processor; on Linux, Python's `platform` returns only its family."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8", errors="replace").splitlines() if described.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
