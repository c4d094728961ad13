"""A display of progress that shows nothing, and notes what it is told."""

from __future__ import annotations

from contextlib import contextmanager


class Silent:
    def __init__(self):
        self.done, self.notes = 0, []

    def advance(self, count=1):
        self.done += count

    def note(self, line):
        self.notes.append(line)

    @contextmanager
    def __call__(self, title, total, *, unit="images"):  # noqa: ARG002 - the protocol's names
        yield self
