"""What long work tells about itself; the command line shows it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Progress(Protocol):
    """Is told how far the work is."""

    def advance(self, count: int = 1) -> None:
        """Count items as done."""

    def note(self, line: str) -> None:
        """Show a line, for example about an item that failed."""


class ShowProgress(Protocol):
    """Shows the progress of a number of items while a block runs."""

    def __call__(self, title: str, total: int, *, unit: str = "images") -> AbstractContextManager[Progress]:
        """Begin to show it; a total of 0 is an unknown one."""
