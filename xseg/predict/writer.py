"""Writer for all outputs of a source, and its row of the table."""

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
from xseg.predict.options import Medium
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import OUTPUTS, name_of
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import PredictionRow

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class PredictionWriter:
    """Thread-safe writer of predictions to a folder, in requested outputs besides those that are always written.

    The files of a source are uploaded to the `url`, if any, when all are complete.
    """

    directory: Path
    outputs: tuple[Output, ...] = ()
    url: str | None = None
    overlapping: bool = False

    @property
    def mask(self) -> Mask:
        """Output of masks with its options."""
        return next((output for output in self.outputs if isinstance(output, Mask)), Mask())

    def wanted(self, medium: Medium) -> list[Output]:
        """Return the outputs with a file for a kind of source, the mask last: if it exists, so do the others."""
        asked = {type(output) for output in self.outputs}
        unasked = [kind() for kind in OUTPUTS.values() if medium in kind.always and kind not in asked]
        found = [output for output in (*self.outputs, *unasked) if medium in output.suffixes]
        return sorted(found, key=lambda output: isinstance(output, Mask))

    def write(self, source: Source, result: Prediction | Failure) -> PredictionRow:
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
        OutputFolder(self.directory, self.url).send(*self.files(source))
        height, width = result.mask.shape[:2]
        return self.row(source, height, width, result.seconds, result.pixels)

    def row(self, source: Source, height: int, width: int, seconds: float, pixels: Mapping[str, int]) -> PredictionRow:
        """Return the row of a source whose files are written; `pixels` holds the number of pixels per class name."""
        present = {name: count for name, count in pixels.items() if count}
        return PredictionRow(
            path=source.place,
            status="ok",
            width=width,
            height=height,
            seconds=round(seconds, 4),
            pixels=json.dumps(present, ensure_ascii=False),
            mask=self.file(self.mask, source).relative_to(self.directory).as_posix(),
        )

    def files(self, source: Source) -> list[Path]:
        """Return the files and folders of a finished source."""
        return [self.file(output, source) for output in self.wanted(source.medium)]

    def file(self, output: Output, source: Source) -> Path:
        """Return the path of an output for a source."""
        # Not with_suffix, as names may contain dots, and "a.b" is not "a".
        suffix = output.suffix(source.medium, overlapping=self.overlapping)
        return self.directory / output.folder / f"{source.name}{suffix}"


class OutputError(ConfigError):
    """A failure of a user's own output, which stops the run."""


@contextmanager
def blaming(output: Output, source: Source) -> Iterator[None]:
    """Turn exceptions of a user's own output, except those of this package and of files, into an OutputError."""
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
            remedy="correct it, and run again with --resume; XSEG_DEBUG=1 shows the traceback",
        ) from error


@contextmanager
def blaming_stream(
    stream: AbstractContextManager[Callable[Arguments, None]], output: Output, source: Source
) -> Iterator[Callable[Arguments, None]]:
    """Enter the context of an output, which yields a function, and blame the output for exceptions of both."""
    with ExitStack() as stack:
        with blaming(output, source):
            write = stack.enter_context(stream)

        def guarded(*arguments: Arguments.args, **names: Arguments.kwargs) -> None:
            with blaming(output, source):
                write(*arguments, **names)

        yield guarded
        with blaming(output, source):
            stack.close()


def failed_row(source: Source, failure: Failure) -> PredictionRow:
    """Return the row of a failed input, with its name in the error."""
    error = str(failure.error)
    known = error.replace(str(failure.path), source.place) if source.url else error
    named = known if source.place in known else f"{source.place}: {known}"
    return PredictionRow(path=source.place, status="failed", error=named)
