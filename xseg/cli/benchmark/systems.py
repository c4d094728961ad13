"""`xseg benchmark systems`: the classifiers in the Xception paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.errors import ConfigError


@dataclass(frozen=True)
class SystemsOptions:
    """Options of the measurement.

    Args:
        batch_size: images per training step.
        steps: timed training steps of each, after an untimed one; 0 to count only.
        output_dir: folder that receives systems.csv and systems.json; none if empty.

    Raises:
        ConfigError: if a number is out of range.
    """

    batch_size: int = 2
    steps: int = 3
    output_dir: str = ""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.steps < 0:
            raise ConfigError(f"batch_size={self.batch_size}, steps={self.steps}", expected="1 or more, and 0 or more")


def main(arguments: Sequence[str]) -> int:
    """Count VGG-16, ResNet-152, Inception V3 and Xception, and time their training steps on the CPU.

    Raises:
        XsegError: if an option is wrong.
    """
    parser = new_parser("benchmark systems", (main.__doc__ or "").splitlines()[0])
    add_options(parser, SystemsOptions)
    values = vars(parse_arguments(parser, arguments))
    options = options_of(SystemsOptions, values)

    from xseg.benchmarks.systems import measure_systems, table_lines, write_systems

    rows = measure_systems(batch_size=options.batch_size, steps=options.steps)
    print("\n".join(table_lines(rows)))
    if options.output_dir:
        write_systems(rows, Path(options.output_dir))
    return EXIT_OK
