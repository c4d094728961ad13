"""`xseg lab`: studies of the Xception paper."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xseg.api.progress import clock_time
from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.errors import ConfigError
from xseg.lab.settings import StudySettings
from xseg.lab.studies import STUDIES, Study, study_named

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from xseg.lab.training import Curve

EXPLAIN = "explain"


def main(arguments: Sequence[str]) -> int:
    """Run a study of the Xception paper at equal parameters, or write a page that explains its modules.

    Raises:
        XsegError: if an option or the data are wrong.
    """
    values = parse_arguments(_parser(), arguments)
    folder = Path(values.output_dir or f"runs/lab/{values.study}")
    if values.study == EXPLAIN:
        from xseg.lab.explanation import write_explanation

        print(f"page: {write_explanation(folder / 'explain.html')}")
        return EXIT_OK
    study = study_named(values.study)
    settings = options_of(StudySettings, vars(values))
    if values.jobs < 1:
        raise ConfigError(f"jobs={values.jobs}", expected="1 or more")
    if values.overwrite:
        _clear(folder)
    return _run(study, settings, folder, root=values.data.root, jobs=values.jobs)


def _parser() -> ArgumentParser:
    parser = new_parser("lab", main)
    names = f"{', '.join(STUDIES)}; or {EXPLAIN} for the page about the modules"
    parser.add_argument("study", metavar="STUDY", type=str, help=names)
    parser.add_argument("--output_dir", type=str, default="", help="folder of the results; runs/lab/STUDY by default")
    parser.add_argument("--overwrite", action="store_true", help="delete an earlier study in output_dir")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel trainings, which share the cores")
    data = "a folder of classes (train/CLASS, val/CLASS); generated images if not given"
    parser.add_argument("--data.root", type=str, default="", help=data)
    add_options(parser, StudySettings)
    return parser


def _clear(folder: Path) -> None:
    """Remove the files of an earlier study, and no others."""
    from xseg.lab.results import FIGURE_FILE, JSON_FILE, PAGE_FILE, TABLE_FILE
    from xseg.lab.study import RUNS, SETTINGS_FILE

    if folder.is_dir() and any(folder.iterdir()) and not (folder / SETTINGS_FILE).is_file():
        raise ConfigError(f"output_dir={folder} holds other files than a study", expected="a study to overwrite")
    shutil.rmtree(folder / RUNS, ignore_errors=True)
    for name in (SETTINGS_FILE, TABLE_FILE, JSON_FILE, FIGURE_FILE, PAGE_FILE):
        (folder / name).unlink(missing_ok=True)


def _run(study: Study, settings: StudySettings, folder: Path, *, root: str, jobs: int) -> int:
    from xseg.lab.results import PAGE_FILE, rows, verdict, write_results
    from xseg.lab.study import remaining, run_study

    total, left = len(study.variants) * len(settings.seeds), remaining(study, settings, folder)
    print(f"study: {study.name}, {len(study.variants)} networks, {len(settings.seeds)} seeds", flush=True)
    if left < total:
        print(f"{total - left} of {total} trainings are already done", flush=True)
    done, start = 0, time.monotonic()

    def on_curve(curve: Curve) -> None:
        """Print a finished training and the time left."""
        nonlocal done
        done += 1
        ahead = (left - done) * (time.monotonic() - start) / done
        print(
            f"{done}/{left}  {curve.variant}, seed {curve.seed}: accuracy {curve.accuracy[-1]:.4f}  "
            f"{curve.seconds:.0f} s  {clock_time(ahead)} left",
            flush=True,
        )

    trained = run_study(study, settings, folder, root=root, jobs=jobs, on_curve=on_curve)
    write_results(trained, folder)
    table = rows(trained)
    width = max(len(row.variant) for row in table)
    for row in table:
        print(
            f"{row.variant:<{width}}  {row.parameters:>10,} parameters  final {row.final:.4f} "
            f"({row.final_low:.4f} to {row.final_high:.4f})  mean over training {row.mean:.4f}"
        )
    print(f"{verdict(table)}\nreport: {folder / PAGE_FILE}", flush=True)
    return EXIT_OK
