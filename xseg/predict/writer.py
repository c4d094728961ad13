"""Writes all that is wanted for a source, and its row of the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

from xseg.errors import ConfigError, XsegError
from xseg.files.atomic import atomic_path
from xseg.inference.prediction import Failure, Prediction
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import Medium, Output
from xseg.predict.outputs.registry import OUTPUTS, name_of
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import Row

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class PredictionWriter:
    """Writes predictions below a folder. Its methods may be called from several threads.

    Args:
        directory: folder to write to.
        outputs: what is wanted beside what is always written.
        url: where files are sent when all files of a source are complete; None if they stay.
    """

    directory: Path
    outputs: tuple[Output, ...] = ()
    url: str | None = None

    @property
    def folder(self) -> OutputFolder:
        """The folder, which knows its URL."""
        return OutputFolder(self.directory, self.url)

    @property
    def needs_probabilities(self) -> bool:
        """Whether predictions need the probabilities of all classes."""
        return any(output.needs_probabilities for output in self.outputs)

    def wanted(self, medium: Medium) -> list[Output]:
        """Return the outputs with a file for a kind of source, the mask last: where the mask is, the rest is too."""
        asked = {type(output) for output in self.outputs}
        unasked = [kind() for kind in OUTPUTS.values() if medium in kind.always and kind not in asked]
        found = [output for output in (*self.outputs, *unasked) if medium in output.suffixes]
        return sorted(found, key=lambda output: isinstance(output, Mask))

    def write(self, source: Source, result: Prediction | Failure) -> Row:
        """Write the prediction of an image and return its row of the table.

        Raises:
            OutputError: if a user's own output fails.
            DataError: if a file cannot be sent.
            OSError: if a file cannot be written.
        """
        if isinstance(result, Failure):
            return failed_row(source, result)
        for output in self.wanted(source.medium):
            with blaming(output, source), atomic_path(self.file(output, source)) as path:
                output.write_image(result, path)
        self.folder.send(*self.files(source))
        height, width = result.mask.shape
        return self.row(source, height, width, result.seconds, result.pixels)

    def row(self, source: Source, height: int, width: int, seconds: float, pixels: Mapping[str, int]) -> Row:
        """Return the row of a source whose files are written.

        Args:
            source: what was predicted on.
            height: height of the image in pixels.
            width: width of the image in pixels.
            seconds: time spent on it.
            pixels: number of pixels per class name.
        """
        present = {name: count for name, count in pixels.items() if count}
        return Row(
            path=source.place,
            status="ok",
            width=width,
            height=height,
            seconds=round(seconds, 4),
            pixels=json.dumps(present, ensure_ascii=False),
            mask=self.file(Mask(), source).relative_to(self.directory).as_posix(),
        )

    def files(self, source: Source) -> list[Path]:
        """Return the files and folders that exist when a source is done."""
        return [self.file(output, source) for output in self.wanted(source.medium)]

    def file(self, output: Output, source: Source) -> Path:
        """Return the file that an output of a source goes to."""
        # Not with_suffix: a name may hold a dot of its own, and "a.b" is not "a".
        return self.directory / output.folder / f"{source.name}{output.suffixes[source.medium]}"


class OutputError(ConfigError):
    """A user's own output that fails, whatever the source: the run stops."""


@contextmanager
def blaming(output: Output, source: Source) -> Iterator[None]:
    """Turn whatever a user's own output raises into one line that names it.

    Raises:
        OutputError: if it raised something else than an error of this package or of a file.
    """
    try:
        yield
    except (XsegError, OSError):
        raise
    except Exception as error:
        name = name_of(output)
        if name in OUTPUTS:
            raise
        raise OutputError(
            f"output {name} raised {type(error).__name__}: {error} for {source.place}",
            remedy="correct it, then run again with --resume; XSEG_DEBUG=1 shows where",
        ) from error


@contextmanager
def blaming_stream(
    stream: AbstractContextManager[Callable[Arguments, None]], output: Output, source: Source
) -> Iterator[Callable[Arguments, None]]:
    """Enter a context of an output that gives a function, and blame the output for what either raises.

    Raises:
        OutputError: as `blaming`.
    """
    with ExitStack() as stack:
        with blaming(output, source):
            write = stack.enter_context(stream)

        def guarded(*arguments: Arguments.args, **names: Arguments.kwargs) -> None:
            with blaming(output, source):
                write(*arguments, **names)

        yield guarded
        with blaming(output, source):
            stack.close()


def failed_row(source: Source, failure: Failure) -> Row:
    """Return the row of an input that failed, with its name in the error."""
    error = str(failure.error)
    known = error.replace(str(failure.path), source.place) if source.url else error
    named = known if source.place in known else f"{source.place}: {known}"
    return Row(path=source.place, status="failed", error=named)
