"""Progress of long work: a bar on a terminal, a line that changes in a notebook, lines on standard error otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xseg.files.progress import Progress

LINE_INTERVAL = 10.0  # seconds between lines
LINE_WIDTH = 80  # characters of a line in a notebook


@contextmanager
def show_progress(title: str, total: int, *, unit: str = "images") -> Iterator[Progress]:
    """Show the progress of `total` items, 0 if unknown, while the context is open; `unit` names them in the plural."""
    if sys.stderr.isatty():
        with _bar(title, total, unit) as bar:
            yield bar
    elif in_notebook():
        line = NotebookProgress(title, total, unit)
        yield line
        line.clear()
    else:
        yield PlainProgress(title, total, unit)


def in_notebook() -> bool:
    """Return whether the process is the kernel of a Jupyter notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class PlainProgress:
    """Progress as lines on standard error at intervals, for logs; `clock` returns seconds."""

    interval = LINE_INTERVAL

    def __init__(self, title: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._total, self._unit, self._clock = title, total, unit, clock
        self._done = 0
        self._start = self._shown = clock()

    def advance(self, count: int = 1) -> None:
        """Mark items as done, and show a line if the interval has passed."""
        self._done += count
        now = self._clock()
        if now - self._shown < self.interval or 0 < self._total <= self._done:
            return
        self._shown = now
        speed = self._done / max(now - self._start, 1e-9)
        done, left = f"{self._done}", ""
        if self._total:
            done += f"/{self._total}"
            left = f", {clock_time((self._total - self._done) / speed)} left" if speed else ""
        self.show(f"{self._title}: {done} {self._unit}, {speed:.1f} {self._unit}/s{left}")

    def show(self, line: str) -> None:
        """Show the progress."""
        self.message(line)

    def message(self, line: str) -> None:
        """Show a line."""
        print(line, file=sys.stderr, flush=True)


class NotebookProgress(PlainProgress):
    """Progress as one line that changes, in the output of a cell."""

    interval = 0.5

    def show(self, line: str) -> None:
        """Replace the line."""
        print(f"\r{line:<{LINE_WIDTH}}", end="", flush=True)

    def clear(self) -> None:
        """Remove the line."""
        print("\r" + " " * LINE_WIDTH, end="\r", flush=True)

    def message(self, line: str) -> None:
        """Show a line above the progress."""
        print(f"\r{line:<{LINE_WIDTH}}", flush=True)


def clock_time(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Progress]:
    from rich.console import Console  # imported here for a fast `xseg VERB --help`
    from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Speed(TextColumn):
        """Column with the speed."""

        def __init__(self) -> None:
            super().__init__("")

        def render(self, task: Task) -> Text:
            """Return the speed of a task."""
            # average over all items, unlike rich's recent speed, as batches finish at once
            seconds = task.finished_time or task.elapsed
            return Text(f"{task.completed / seconds:.1f} {unit}/s" if seconds and task.completed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    console = Console(stderr=True)
    with RichProgress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total or None)

        class Bar:
            """Progress bar with the interface of `Progress`."""

            def advance(self, count: int = 1) -> None:
                """Mark items as done."""
                bar.advance(task, count)

            def message(self, line: str) -> None:
                """Print a line above the bar."""
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield Bar()
