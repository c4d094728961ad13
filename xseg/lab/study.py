"""Run a study: train every network with every seed, and save each result immediately."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path

import torch

from xseg.errors import ConfigError
from xseg.evaluation.results import difference
from xseg.files.atomic import write_text
from xseg.lab.budget import Network, solve
from xseg.lab.settings import StudySettings
from xseg.lab.studies import Study
from xseg.lab.training import Curve, data_of, load_curve, train

SETTINGS_FILE, RUNS = "study.json", "runs"


@dataclass(frozen=True)
class Trained:
    """A completed study, with the curves of every network in the order of the seeds."""

    study: Study
    settings: StudySettings
    root: str
    networks: tuple[Network, ...]
    curves: tuple[tuple[Curve, ...], ...]


def run_study(
    study: Study,
    settings: StudySettings,
    folder: Path,
    *,
    root: str = "",
    jobs: int = 1,
    on_curve: Callable[[Curve], None] | None = None,
) -> Trained:
    """Run the missing trainings of a study, and return all results.

    The folder gets study.json and one file per training; an interrupted study in it is resumed. `root` is a folder of
    classes, empty for generated images. Of several `jobs`, each trains in its own process with its share of the cores.
    `on_curve` is called with the curve of each training.

    Raises:
        ConfigError: if the folder holds a study with other settings, or the networks cannot have equal parameters.
        DataError: if the images cannot be used.
    """
    reader, _ = data_of(settings, root)
    networks = solve(
        study, width=settings.width, classes=len(reader.labels.names), dropout=settings.dropout, size=settings.size
    )
    _require_same(folder / SETTINGS_FILE, study, settings, root)
    files = {(n, seed): _file(folder, n.variant.name, seed) for seed in settings.seeds for n in networks}
    missing = [(network, settings, seed, root, path) for (network, seed), path in files.items() if not load_curve(path)]
    for curve in _trained(missing, jobs):
        if on_curve is not None:
            on_curve(curve)
    curves = tuple(tuple(_saved(files[network, seed]) for seed in settings.seeds) for network in networks)
    return Trained(study, settings, root, networks, curves)


def remaining(study: Study, settings: StudySettings, folder: Path) -> int:
    """Return the number of trainings that are missing in the folder."""
    files = (_file(folder, variant.name, seed) for variant in study.variants for seed in settings.seeds)
    return sum(load_curve(file) is None for file in files)


def _trained(missing: Sequence[tuple[Network, StudySettings, int, str, Path]], jobs: int) -> Iterator[Curve]:
    """Train, with several jobs in parallel, and yield each curve when it is saved."""
    if jobs == 1:
        yield from starmap(_train_and_save, missing)
        return
    # spawn: PyTorch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, max(1, len(missing))), context, _share_cores, (jobs,)) as pool:
        tasks = [pool.submit(_train_and_save, *arguments) for arguments in missing]
        try:
            for task in as_completed(tasks):
                yield task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _share_cores(jobs: int) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))


def _train_and_save(network: Network, settings: StudySettings, seed: int, root: str, path: Path) -> Curve:
    curve = train(network, settings, seed=seed, root=root)
    curve.save(path)
    return curve


def _saved(path: Path) -> Curve:
    curve = load_curve(path)
    if curve is None:
        raise ConfigError(f"{path} is missing", remedy="run the study again")
    return curve


def _file(folder: Path, variant: str, seed: int) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", variant.lower()).strip("-")
    return folder / RUNS / f"{slug}-{seed}.json"


def _require_same(path: Path, study: Study, settings: StudySettings, root: str) -> None:
    """Save what runs must share to combine their curves, all settings except the seeds, or compare it with the file."""
    description = {"study": study.name, "root": str(Path(root).absolute()) if root else "", **asdict(settings)}
    del description["seeds"]
    if not path.is_file():
        write_text(path, json.dumps(description, indent=2) + "\n")
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", remedy="pass another --output_dir") from error
    differing = difference(earlier, json.loads(json.dumps(description)))
    if differing:
        remedy = "pass another --output_dir, or --overwrite"
        raise ConfigError(f"{path.parent} holds another study ({differing})", remedy=remedy)
