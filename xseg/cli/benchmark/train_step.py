"""`xseg benchmark train_step`: time of a training step, compared with SMP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments


@dataclass(frozen=True)
class TrainStepOptions:
    """Options of the measurement.

    Args:
        size: height and width of the images in pixels, a multiple of 16.
        batch_size: images per step.
        rounds: timed steps of each, in turns.
        output: JSON file to write; none if empty.
    """

    size: int = 320
    batch_size: int = 8
    rounds: int = 3
    output: str = ""


def main(arguments: Sequence[str]) -> int:
    """Time training steps of DeepLabV3+ with Xception-65 on the CPU, xseg's and SMP's in turns.

    Raises:
        XsegError: if an option is wrong.
    """
    parser = new_parser("benchmark train_step", (main.__doc__ or "").splitlines()[0])
    add_options(parser, TrainStepOptions)
    values = vars(parse_arguments(parser, arguments))
    options = options_of(TrainStepOptions, values)

    from xseg.benchmarks.train_step import measure_train_step
    from xseg.files.atomic import write_text

    times = measure_train_step(size=options.size, batch_size=options.batch_size, rounds=options.rounds)
    print(f"batch {times.batch_size} at {times.size}x{times.size}, {times.threads} threads, seconds per step in turns:")
    for name, seconds in (("xseg, bfloat16 channels_last", times.ours), ("SMP, float32 eager", times.peer)):
        print(f"  {name:<30}" + " ".join(f"{value:.2f}" for value in seconds))
    print(f"  {'floor (3 forward passes)':<30}{times.floor:.2f}")
    print(f"{times.speedup:.2f} times as fast as SMP; {times.over_floor:.2f} times the floor")
    if options.output:
        results = {**asdict(times), "speedup": times.speedup, "over_floor": times.over_floor}
        write_text(Path(options.output), json.dumps(results, indent=2) + "\n")
    return EXIT_OK
