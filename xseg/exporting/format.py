"""Interface of export formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from xseg.errors import MissingExtraError
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

# Images, rows and columns of an example; none is 1, as torch's exporter would make an axis of size 1 fixed.
EXAMPLE = (2, 97, 129)
INPUT = "images"


@dataclass(frozen=True, eq=False)
class Program:
    """A module with the information needed to write it to a file.

    Args:
        module: module from one tensor to one or more, on the CPU, in evaluation mode.
        example: example input.
        free: axes of the input with any size; the other axes are fixed.
        outputs: names of the outputs.
        computes_sizes: whether the module computes sizes from the input size, which tracing would fix.
        metadata: texts to store in the file.
    """

    module: nn.Module
    example: Tensor
    free: tuple[int, ...]
    outputs: tuple[str, ...]
    computes_sizes: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def coarse_program(network: CoarseNetwork, channels: int) -> Program:
    """Return the program of a network on the CPU up to its coarse scores, for any number and size of padded images."""
    count, height, width = EXAMPLE
    example = network.pad(torch.zeros(count, channels, height, width))
    return Program(network, example, free=(0, 2, 3), outputs=("scores",))


class Session(Protocol):
    """A program read from a file; `workers` threads may call it at once."""

    @property
    def workers(self) -> int:
        """Number of simultaneous calls that use the device fully."""

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the program's outputs for an input."""


class Format(ABC):
    """A file format of programs, with its runtime on the CPU.

    To add a format, add a file in this folder and a line in `formats.py`.

    Attributes:
        suffix: file name suffix.
        packages: Python packages needed for writing and reading.
        extra: optional dependency of this project that installs them.
        precisions: number types supported by the runtime.
    """

    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32",)

    def missing_packages(self) -> list[str]:
        """Return the packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    def require_packages(self, purpose: str) -> None:
        """Raise MissingExtraError, which names the `purpose` of the format, if a package is not installed."""
        for package in self.missing_packages():
            raise MissingExtraError(package, extra=self.extra, purpose=purpose)

    def version(self) -> str:
        """Return the version of the exporter, by default torch's; another version writes cached files again."""
        return str(torch.__version__)

    @abstractmethod
    def write(self, program: Program, path: Path) -> None:
        """Write a program to a file; further files may have the same name with another suffix.

        Raises:
            Exception: any exception of the exporter for an unsupported module.
        """

    @abstractmethod
    def read(self, path: Path, precision: Precision) -> Session:
        """Return a session for the program in a file, with the given precision."""

    @abstractmethod
    def metadata(self, path: Path) -> dict[str, str]:
        """Return the texts in a file; empty for files of other software."""
