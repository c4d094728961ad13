"""`xseg benchmark`: studies that compare speed with other libraries in the same run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xseg.cli import EXIT_OK, run_part
from xseg.cli.arguments import MODEL, add_options, new_parser, options_of, parse_arguments, parse_options
from xseg.errors import ConfigError
from xseg.files.atomic import write_text
from xseg.inference.options import InferenceOptions

STUDIES = {name: f"xseg.cli.benchmark:{name}" for name in ("predict", "systems", "train_step")}


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
    """Compare the speed of xseg with other libraries in the same run.

    Raises:
        XsegError: if an option is wrong.
    """
    return run_part("benchmark", "STUDY [options]", STUDIES, arguments)


def predict(arguments: Sequence[str]) -> int:
    """Measure the speed of prediction, compared with the bare model and SMP.

    Raises:
        XsegError: if an option, the model or a source is wrong.
    """
    parser = new_parser("benchmark predict", predict)
    parser.add_argument("model", type=str, help=MODEL)
    parser.add_argument("source", type=str, nargs="+", help="images of one size")
    add_options(parser, SpeedOptions, InferenceOptions)
    parser.set_defaults({"precision": "auto", "backend": "auto"})
    values = vars(parse_arguments(parser, arguments))
    speed, options = options_of(SpeedOptions, values), options_of(InferenceOptions, values)

    from xseg.benchmarks.prediction import against_smp, overlap, resized
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


def systems(arguments: Sequence[str]) -> int:
    """Count VGG-16, ResNet-152, Inception V3 and Xception, and time their training steps on the CPU.

    Raises:
        XsegError: if an option is wrong.
    """
    options = parse_options("benchmark systems", systems, SystemsOptions, arguments)

    from xseg.benchmarks.systems import measure_systems, table_lines, write_systems

    rows = measure_systems(batch_size=options.batch_size, steps=options.steps)
    print("\n".join(table_lines(rows)))
    if options.output_dir:
        write_systems(rows, Path(options.output_dir))
    return EXIT_OK


def train_step(arguments: Sequence[str]) -> int:
    """Time training steps of DeepLabV3+ with Xception-65 on the CPU, xseg's and SMP's in turns.

    Raises:
        XsegError: if an option is wrong.
    """
    options = parse_options("benchmark train_step", train_step, TrainStepOptions, arguments)

    from xseg.benchmarks.train_step import measure_train_step

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
