"""Progress of long work: protocols for reporting and showing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work."""

    def advance(self, count: int = 1) -> None:
        """Mark items as done."""

    def message(self, line: str) -> None:
        """Show a line, for example about an item that failed."""


class ShowProgress(Protocol):
    """Shows the progress of a number of items while a block runs."""

    def __call__(self, title: str, total: int, *, unit: str = "images") -> AbstractContextManager[Progress]:
        """Show the progress while the context is open.

        Args:
            title: name of the work, for example "predict".
            total: number of items; 0 if unknown.
            unit: name of the items, in the plural.
        """


class NoProgress:
    """Progress that is not shown."""

    def advance(self, count: int = 1) -> None:
        """Show nothing."""

    def message(self, line: str) -> None:
        """Show nothing."""

    @contextmanager
    def __call__(self, title: str, total: int, *, unit: str = "images") -> Iterator[Progress]:  # noqa: ARG002
        """Show nothing."""
        yield self


NO_PROGRESS = NoProgress()
