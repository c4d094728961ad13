"""`xseg benchmark predict`: speed of prediction, compared with the bare model and with SMP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.errors import ConfigError
from xseg.inference.options import InferenceOptions


@dataclass(frozen=True)
class SpeedOptions:
    """Options of the measurement.

    Args:
        images: number of images to predict; a smaller source is repeated.
        rounds: number of interleaved measurements.
        peer_size: side in pixels of the images for the comparison with SMP; 0 to leave SMP out.
        output: JSON file to write; none if empty.

    Raises:
        ConfigError: if a value is out of range.
    """

    images: int = 60
    rounds: int = 5
    peer_size: int = 512
    output: str = ""

    def __post_init__(self) -> None:
        if self.images < 1 or self.rounds < 1:
            raise ConfigError(f"images={self.images}, rounds={self.rounds}", expected="1 or more")
        if self.peer_size % 16 or self.peer_size < 0:
            raise ConfigError(f"peer_size={self.peer_size}", expected="a multiple of 16, or 0")


def main(arguments: Sequence[str]) -> int:
    """Measure the speed of prediction.

    Raises:
        XsegError: if an option, the model or a source is wrong.
    """
    parser = new_parser("benchmark predict", "Measure the speed of prediction.")
    parser.add_argument("model", type=str, help="a run directory, a bundle directory or a Hugging Face Hub id")
    parser.add_argument("source", type=str, nargs="+", help="images of one size")
    add_options(parser, SpeedOptions)
    add_options(parser, InferenceOptions)
    parser.set_defaults({"precision": "auto", "backend": "auto"})
    values = vars(parse_arguments(parser, arguments))
    speed = options_of(SpeedOptions, values)
    options = options_of(InferenceOptions, values)

    from xseg.benchmarks.prediction import against_smp, overlap, resized
    from xseg.files.atomic import write_text
    from xseg.inference.loading import load
    from xseg.predict.sources import expand_sources

    found = [source.path for source in expand_sources(values["source"])]
    files = [found[index % len(found)] for index in range(speed.images)]
    comparisons = [overlap(load(values["model"], **asdict(options)), files, rounds=speed.rounds)]
    if speed.peer_size:
        with resized(files, speed.peer_size) as copies:
            comparisons.append(against_smp(copies, options, rounds=speed.rounds))
    for comparison in comparisons:
        print(f"{comparison.name}: {comparison.ratio:.2f} ({comparison.details})", flush=True)
    if speed.output:
        results = [asdict(comparison) | {"ratio": comparison.ratio} for comparison in comparisons]
        write_text(Path(speed.output), json.dumps(results, indent=2) + "\n")
    return EXIT_OK
