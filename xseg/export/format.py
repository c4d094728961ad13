"""What an export format offers."""

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

# Images, rows and columns of an example; none is 1, which torch's exporter would take for fixed.
EXAMPLE = (2, 97, 129)
INPUT = "images"


@dataclass(frozen=True, eq=False)
class Program:
    """A module, and what writing it to a file needs.

    Args:
        module: module from one tensor to one or more, on the CPU, in evaluation mode.
        example: an input.
        free: axes of the input that may have any size in the file; the others are fixed.
        outputs: name of each output.
        computes_sizes: whether the module computes sizes of its own from those of its input, which tracing would fix.
        metadata: texts to store in the file.
    """

    module: nn.Module
    example: Tensor
    free: tuple[int, ...]
    outputs: tuple[str, ...]
    computes_sizes: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def coarse_program(network: CoarseNetwork, channels: int) -> Program:
    """Return the program of a network up to its coarse scores, for any number and size of padded images.

    Args:
        network: the network, on the CPU.
        channels: number of image channels.
    """
    count, height, width = EXAMPLE
    example = network.pad(torch.zeros(count, channels, height, width))
    return Program(network, example, free=(0, 2, 3), outputs=("scores",))


class Session(Protocol):
    """A program that was read from a file; safe to call from `workers` threads at once."""

    @property
    def workers(self) -> int:
        """Number of calls at once that use the device fully."""

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the program's outputs for an input."""


class Format(ABC):
    """A file format of programs, with the runtime that computes them on a CPU.

    A new format is a file in this folder and a line in `formats.py`.

    Attributes:
        suffix: ending of the file's name.
        packages: Python packages that writing and reading need.
        extra: optional dependency of this project that installs them.
        precisions: types of numbers that the runtime computes in.
    """

    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32",)

    def missing_packages(self) -> list[str]:
        """Return the packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    def require_packages(self, purpose: str) -> None:
        """Check that all packages are installed.

        Args:
            purpose: use of the format, for the message.

        Raises:
            MissingExtraError: if a package is missing.
        """
        for package in self.missing_packages():
            raise MissingExtraError(package, extra=self.extra, purpose=purpose)

    @abstractmethod
    def version(self) -> str:
        """Return the version of what writes the file: another version writes it again."""

    @abstractmethod
    def write(self, program: Program, path: Path) -> None:
        """Write a program.

        Args:
            program: what is written.
            path: the file; others beside it may have its name with another suffix.

        Raises:
            Exception: whatever the exporter raises for a module that it does not know.
        """

    @abstractmethod
    def read(self, path: Path, precision: Precision) -> Session:
        """Return what computes the program of a file in a precision."""

    @abstractmethod
    def metadata(self, path: Path) -> dict[str, str]:
        """Return the texts that a file stores; empty for a file of another program."""
