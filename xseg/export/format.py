"""What an export format offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from xseg.errors import MissingExtraError
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision


class Session(Protocol):
    """A network that was read from a file; safe to call from `workers` threads at once."""

    @property
    def workers(self) -> int:
        """Number of calls at once that use the device fully."""

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images (N, C, H, W) float32 of any size: logits (N, classes, h, w) float32."""


class Format(ABC):
    """A file format of networks, with the runtime that computes them on a CPU.

    A new format is a file in this folder and a line in `formats.py`; `verify` compares what it writes with torch.

    Attributes:
        suffix: ending of the file's name.
        packages: Python packages that writing and reading need.
        extra: optional dependency of this project that installs them.
        precisions: types of numbers that the runtime computes in.
    """

    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]

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
    def write(self, network: CoarseNetwork, channels: int, path: Path) -> None:
        """Write a network, for any number and size of images.

        Args:
            network: what is written, on the CPU.
            channels: number of image channels.
            path: the file; others beside it may have its name with another suffix.
        """

    @abstractmethod
    def read(self, path: Path, precision: Precision) -> Session:
        """Return what computes the network of a file in a precision."""
