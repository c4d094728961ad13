"""Cross-validation: train and score every fold, each as an ordinary run in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

import numpy as np
import yaml
from filelock import FileLock, Timeout

from xseg.api.train_options import AUTO, parse_request
from xseg.bundles.locate import CROSSVAL_FILE, FOLDS_FILE
from xseg.data.folds import assign_folds, pooled
from xseg.data.lists import read_table
from xseg.data.readers.registry import create_reader
from xseg.data.splits import group_of
from xseg.errors import ConfigError, XsegError
from xseg.evaluation.results import COUNTS_FILE, METRICS_FILE, difference
from xseg.files.atomic import write_table, write_text
from xseg.metrics.metric import CONFUSION
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import ImageCounts, add_counts, compute_mask_scores
from xseg.predict.options import EngineOptions
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import CrossvalOptions

RESULTS_FILE, LOCK = "crossval.json", ".crossval.lock"
SECONDS = 0.2  # between looks at the trainings
Row: TypeAlias = dict[str, Any]
Poll: TypeAlias = Callable[[], int | None]  # exit status of a training; None while it runs
Start: TypeAlias = Callable[[Path, list[str], Path], Poll]  # lock, arguments of `xseg train`, and log


def cross_validate(
    options: CrossvalOptions, arguments: Sequence[str], engine: EngineOptions, say: Callable[[str], None]
) -> list[Row]:
    """Train and score the folds that are not finished, and write the scores of all folds.

    Args:
        options: options of the cross-validation.
        arguments: arguments of `xseg train`.
        engine: machines that train.
        say: function that shows a line to the user.

    Returns:
        The rows of crossval.csv: one per fold, their mean, their standard deviation, and all predictions pooled.

    Raises:
        XsegError: if an option or the data are wrong, the folder holds something else, or a fold failed.
    """
    request = parse_request([*arguments, "--output_dir", options.output_dir])
    if request.task == "classification" or request.data.layout.splits.folds:
        raise ConfigError("a cross-validation of classification or of folds", expected="images with masks, no folds")
    reader = create_reader(request.data)
    pool = pooled(reader)
    from xseg.api.trainer_options import parse_trainer  # slow: after the checks of options and files
    from xseg.doctor.quick_look import count_class_pixels
    from xseg.training.environment import data_fingerprint

    config = request.to_config(parse_trainer(arguments)[1])
    splits = request.data.layout.splits
    fingerprints = {split: data_fingerprint(reader, split) for split in ("train", "val")}
    kept = {name: value for name, value in config.items() if name not in ("output_dir", "resume", "overwrite")}
    settings = json.loads(json.dumps({"folds": options.folds, "data": fingerprints, "options": kept}))
    folder = Path(options.output_dir)
    with ExitStack() as stack:
        _claim(folder, options, settings, stack)
        write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        if not (folder / FOLDS_FILE).is_file():
            group = splits.group or getattr(getattr(reader, "splits", None), "group", "")
            groups = [group_of(pool[record].name, group) if group else record.name for record in pool]
            present = count_class_pixels(reader, [*pool.values()]) > 0
            folds = assign_folds(groups, present, folds=options.folds, seed=splits.seed)
            named = zip([record.name for record in pool], groups, folds, strict=True)
            write_table(folder / FOLDS_FILE, [dict(zip(("name", "group", "fold"), row, strict=True)) for row in named])
        _train_missing(folder, options, engine, say)
        names, ignore_index = reader.labels.names, reader.labels.ignore_index
        classes = 2 if reader.labels.overlapping else len(names)
        metrics = create_metrics(request.options.metrics, classes=classes, ignore_index=ignore_index)
        return _write_results(folder, settings, lambda counts: compute_mask_scores(metrics, counts).to_dict(names))


def _claim(folder: Path, options: CrossvalOptions, settings: Mapping[str, Any], stack: ExitStack) -> None:
    """Lock the folder after checking that it is new, or holds the same cross-validation or one to overwrite."""
    results = folder / RESULTS_FILE
    earlier = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else None
    if earlier is None:
        RunDirectory(folder).require_free(resume=False, overwrite=False)
        write_text(results, json.dumps({"settings": settings}, indent=2) + "\n")
    elif not options.overwrite:
        differing = difference(earlier["settings"], settings)
        if differing or not options.resume:
            raise ConfigError(
                f"output_dir={folder} holds {'another' if differing else 'a'} cross-validation"
                + (f" ({differing})" if differing else ""),
                expected="a new folder, or the same data and options to resume it",
                remedy=f"choose another, {'' if differing else 'add --resume auto, '}or add --overwrite to start again",
            )
    try:
        stack.enter_context(FileLock(folder / LOCK, timeout=0))
    except Timeout as error:
        raise ConfigError(f"output_dir={folder} is in use by another xseg crossval", remedy="wait for it") from error
    if earlier is not None and options.overwrite:
        (folder / FOLDS_FILE).unlink(missing_ok=True)
        (folder / CROSSVAL_FILE).unlink(missing_ok=True)
        for path in (*folder.glob("fold-*/"), folder / "evaluation"):
            shutil.rmtree(path, ignore_errors=True)
        write_text(results, json.dumps({"settings": settings}, indent=2) + "\n")


def _train_missing(folder: Path, options: CrossvalOptions, engine: EngineOptions, say: Callable[[str], None]) -> None:
    """Train the folds without scores, and show what they print.

    Raises:
        XsegError: if a fold failed, after the others are done.
    """
    waiting = [fold for fold in range(1, options.folds + 1) if not _finished(folder, fold)]
    say(f"{options.folds} folds in {folder}, {options.folds - len(waiting)} of them done")
    running: dict[int, tuple[Poll, Any]] = {}
    failed = []
    with ExitStack() as stack:
        spread = engine.engine == "ray"  # Ray itself starts as many as the machines can take
        start = _ray_start(options.jobs, engine.address, stack) if spread else _local_start(options.jobs, stack)
        while waiting or running:
            while waiting and (spread or len(running) < options.jobs):
                fold, place = waiting.pop(0), folder.absolute()
                log = place / f"fold-{fold}.log"
                log.touch()
                shown = stack.enter_context(log.open("rb"))
                shown.seek(0, os.SEEK_END)
                running[fold] = (start(place / f".fold-{fold}.lock", _arguments(place, fold), log), shown)
            for fold, (poll, shown) in [*running.items()]:
                status = poll()  # first, so that all lines of an ended training are shown
                while line := shown.readline():
                    if status is None and not line.endswith(b"\n"):  # the rest is still to be written
                        shown.seek(-len(line), os.SEEK_CUR)
                        break
                    say(f"fold {fold}: {line.decode(errors='replace').rstrip()}")
                if status is not None:
                    del running[fold]
                    failed += [fold] * (status != 0)
            time.sleep(SECONDS)
    if failed:
        raise XsegError(
            f"folds {', '.join(map(str, failed))} of {folder} failed",
            expected="all folds to train",
            remedy=f"see fold-{failed[0]}.log there, and resume with --resume auto",
        )


def _finished(folder: Path, fold: int) -> bool:
    run = RunDirectory(folder / f"fold-{fold}")
    if not run.config.is_file():  # killed before it began
        shutil.rmtree(run.path, ignore_errors=True)
    return run.report.is_file() and (run.path / METRICS_FILE).is_file()


def _arguments(folder: Path, fold: int) -> list[str]:
    """Return the arguments of `xseg train` that train a fold, or resume it."""
    splits, output, file = "--data.layout.splits", folder / f"fold-{fold}", folder / FOLDS_FILE
    chosen = ["--output_dir", str(output), "--resume", AUTO, f"{splits}.folds", str(file), f"{splits}.fold", str(fold)]
    return ["--config", str(folder / "config.yaml"), *chosen]


class _Process(subprocess.Popen[bytes]):
    """A training in a process that writes to a log, and ends with the context or with this process."""

    def __init__(self, lock: Path, arguments: list[str], log: Path, *, cores: int | None) -> None:
        share = {} if cores is None else {"OMP_NUM_THREADS": str(cores)}
        command = [sys.executable, "-m", "xseg.api.supervise", str(lock), *arguments]
        with log.open("ab") as output:
            super().__init__(command, env={**os.environ, **share}, stdin=subprocess.PIPE, stdout=output, stderr=output)

    def __exit__(self, *_: object) -> None:
        """Close the input, and wait until the training has ended, also after Ctrl+C."""
        super().__exit__(None, None, None)


def _local_start(jobs: int, stack: ExitStack) -> Start:
    """Return the function that starts a training on this machine, with its share of the cores."""
    import torch

    cores = max(1, torch.get_num_threads() // jobs) if jobs > 1 else None
    return lambda *place: stack.enter_context(_Process(*place, cores=cores)).poll


def _ray_start(jobs: int, address: str | None, stack: ExitStack) -> Start:
    """Return the function that starts a training on a Ray cluster."""
    from xseg.predict.ray import connected, require_ray

    require_ray()
    import ray

    stack.enter_context(connected(address))
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    cores = max(1, int(min(machine.get("CPU", 1) for machine in machines)) // jobs)
    gpus = 1 / jobs if any(machine.get("GPU") for machine in machines) else 0
    task = ray.remote(num_cpus=cores, num_gpus=gpus)(_train_there)

    def start(lock: Path, arguments: list[str], log: Path) -> Poll:
        """Hand the training to the cluster."""
        reference = task.remote(lock, arguments, log, cores)
        return lambda: ray.get(reference) if ray.wait([reference], timeout=0)[0] else None

    return start


def _train_there(lock: Path, arguments: list[str], log: Path, cores: int) -> int:
    with _Process(lock, arguments, log, cores=cores) as process:
        return process.wait()


def _write_results(folder: Path, settings: Mapping[str, Any], scored: Callable[[Mapping[str, Any]], Row]) -> list[Row]:
    """Write crossval.json, report.html and crossval.csv, and return the rows of the table."""
    from xseg.reports.pages import render_page

    rows: list[Row] = []
    folds: list[Row] = []
    total: ImageCounts = {}
    _, listed = read_table(folder / FOLDS_FILE, "folds")
    for fold in range(1, settings["folds"] + 1):
        run = folder / f"fold-{fold}"
        counts = json.loads((run / COUNTS_FILE).read_text(encoding="utf-8"))
        arrays = {name: np.asarray(values) for name, values in counts.items()}
        total = add_counts(total, arrays)
        folds.append(scored(arrays))
        rows.append(_row(str(fold), sum(row["fold"] == str(fold) for row in listed), folds[-1]))
    pooled_scores = scored(total)
    columns = {name: [row[name] for row in rows if row[name] is not None] for name in [*rows[0]][2:]}
    mean = {name: fmean(values) if values else None for name, values in columns.items()}
    spread = {name: stdev(values) if len(values) > 1 else None for name, values in columns.items()}
    rows += [{"fold": name, "images": None, **values} for name, values in (("mean", mean), ("sd", spread))]
    rows.append(_row("pooled", len(listed), pooled_scores))
    table = [{name: round(one, 6) if isinstance(one, float) else one for name, one in row.items()} for row in rows]
    results = {"settings": settings, "table": table, "folds": folds, "pooled": pooled_scores}
    write_text(folder / RESULTS_FILE, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    page = {"title": folder.resolve().name, "rows": table, "folds": settings["folds"]}
    write_text(folder / "report.html", render_page("crossval.html", page))
    write_table(folder / CROSSVAL_FILE, table)  # last: the folder is now a finished cross-validation
    return table


def _row(fold: str, images: int, scores: Mapping[str, Any]) -> Row:
    overall = {name: value for name, value in scores.items() if name not in ("classes", CONFUSION)}
    ious = {f"iou/{name}": values["iou"] for name, values in scores["classes"].items()}
    return {"fold": fold, "images": images, **overall, **ious}
