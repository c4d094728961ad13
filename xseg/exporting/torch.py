"""Formats of torch, with torch as the runtime."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from xseg.exporting.format import Format, Program, Session
from xseg.types import Precision

_METADATA = "xseg.json"  # name of the metadata in the file


class TorchFormat(Format):
    """A file of torch, a ZIP archive."""

    def metadata(self, path: Path) -> dict[str, str]:
        """Return the texts that the file stores, without loading the rest."""
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"extra/{_METADATA}")]
            values = json.loads(archive.read(names[0])) if names else {}
        return {str(key): str(value) for key, value in values.items()}


class TorchExport(TorchFormat):
    """The graph of `torch.export`, for torch in Python and in C++."""

    suffix = ".pt2"

    def write(self, program: Program, path: Path) -> None:
        """Write a program; see `Format`."""
        free = dict.fromkeys(program.free, torch.export.Dim.DYNAMIC)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(program.module, (program.example,), dynamic_shapes=(free,))
            torch.export.save(exported, path, extra_files={_METADATA: json.dumps(dict(program.metadata))})

    def read(self, path: Path, precision: Precision) -> Session:  # noqa: ARG002 - float32 alone
        """Load a file; see `Format`."""
        return TorchSession(torch.export.load(path).module())


class TorchScript(TorchFormat):
    """TorchScript, for torch in C++ and on mobile devices."""

    suffix = ".torchscript"

    def write(self, program: Program, path: Path) -> None:
        """Write a program; see `Format`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            scripted = torch.jit.script(program.module)
            scripted.save(str(path), _extra_files={_METADATA: json.dumps(dict(program.metadata))})  # type: ignore[no-untyped-call]

    def read(self, path: Path, precision: Precision) -> Session:  # noqa: ARG002 - float32 alone
        """Load a file; see `Format`."""
        return TorchSession(torch.jit.load(str(path)))  # type: ignore[no-untyped-call]


class TorchSession:
    """A program in torch on the CPU."""

    workers = 1

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs; see `Session`."""
        outputs = self._module(images)
        return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
