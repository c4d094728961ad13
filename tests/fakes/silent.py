"""A display of progress that shows nothing, and keeps counts and messages."""

from __future__ import annotations

from contextlib import contextmanager


class Silent:
    def __init__(self):
        self.done, self.total, self.messages = 0, 0, []

    def advance(self, count=1):
        self.done += count

    def message(self, line):
        self.messages.append(line)

    @contextmanager
    def __call__(self, title, total, *, unit="images"):  # noqa: ARG002 - the protocol's names
        self.total += total
        yield self
