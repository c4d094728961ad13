"""Prediction of images on a Ray cluster, in actors that load the model once.

Ray distributes the work, repeats work that is lost with a machine, and returns the rows. The unit of work is a window
of images: images are only grouped within windows, so that batches, and hence masks, equal those of a single machine.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.bundles.locate import members_of
from xseg.errors import ConfigError, MissingExtraError
from xseg.files.remote import is_url
from xseg.inference.loading import load
from xseg.inference.options import InferenceOptions
from xseg.inference.pipeline import Request, window_of
from xseg.predict.job import Job, predict_images
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import OUTPUTS
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import PredictionRow
from xseg.predict.writer import PredictionWriter
from xseg.types import PathArgument

Batch: TypeAlias = dict[str, NDArray[Any]]
Window: TypeAlias = tuple[tuple[Request, ...], dict[int, Source]]  # in order, and their sources by index

OBJECT_STORE_BYTES = 100 * 2**20  # object store of a Ray started here, which holds only paths and rows
CPUS_PER_ACTOR = 1
CONNECT_SECONDS = 10.0


class Actor:
    """Predicts windows with a model, or an ensemble, that is loaded once, and writes to a folder or URL."""

    def __init__(
        self, models: list[str], options: InferenceOptions, output_dir: str, outputs: tuple[Output, ...]
    ) -> None:
        self._predictor = load(models, **asdict(options))
        folder = OutputFolder.named(output_dir)
        self._writer = PredictionWriter(folder.directory, outputs, folder.url, self._predictor.labels.overlapping)

    def __call__(self, batch: Batch) -> Batch:
        """Predict windows and return their rows."""
        rows: list[PredictionRow] = []
        for window in batch["window"]:
            requests, sources = window
            rows += predict_images(self._predictor, sources, self._writer, requests)
        column = np.empty(len(rows), object)  # Ray requires an array
        column[:] = rows
        return {"row": column}


def ray_engine(
    model: PathArgument, options: InferenceOptions, address: str | None
) -> Callable[[Job, Sequence[Request]], Iterator[PredictionRow]]:
    """Return an engine for `Job.run` that predicts on a Ray cluster.

    Args:
        model: directory of the model, which all machines can access, or its Hub id, for download by all machines; or
            an ensemble of these, as for `load`.
        options: inference options without "auto", so that all machines do the same.
        address: address of the cluster; None to start Ray on this machine.

    Raises:
        MissingExtraError: if Ray is not installed.
    """
    require_ray()
    models = [str(Path(member).resolve() if Path(member).exists() else member) for member in members_of(model)]

    def engine(job: Job, requests: Sequence[Request]) -> Iterator[PredictionRow]:
        """Predict on the cluster."""
        with connected(address):
            yield from _rows(job, requests, models, options)

    return engine


def require_ray() -> None:
    """Raise MissingExtraError if Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingExtraError("ray", extra="ray", purpose="--engine ray")


def _rows(
    job: Job, requests: Sequence[Request], models: list[str], options: InferenceOptions
) -> Iterator[PredictionRow]:
    import ray

    windows = list(_windows(job.sources, requests, options.batch_size))
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = max(1, int(resources.get("CPU", 1)) // CPUS_PER_ACTOR)
    place = job.options.output_dir if is_url(job.options.output_dir) else os.path.abspath(job.options.output_dir)  # noqa: PTH100
    items = ray.data.from_items([{"window": window} for window in windows], override_num_blocks=len(windows))
    dataset = items.map_batches(
        Actor,
        fn_constructor_args=(models, options, place, _portable(job.outputs)),
        batch_size=1,
        concurrency=(1, min(workers, len(windows))),
        num_cpus=CPUS_PER_ACTOR,
        num_gpus=1 if job.predictor.device.type == "cuda" else 0,
    )
    yield from (item["row"] for item in dataset.iter_rows())


def _windows(sources: Sequence[Source], requests: Sequence[Request], batch_size: int) -> Iterator[Window]:
    """Divide the requests into windows, each for one machine, without windows that are completely done."""
    for _, group in groupby(requests, key=lambda request: window_of(request, batch_size)):
        # Each machine has its own working directory
        window = tuple(replace(request, path=Path(os.path.abspath(request.path))) for request in group)  # noqa: PTH100
        if not all(request.done for request in window):
            yield window, {request.index: sources[request.index] for request in window}


def _portable(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
    """Pickle a user's own outputs with their code, as other machines cannot import local files."""
    from ray import cloudpickle

    for output in outputs:
        if type(output) not in OUTPUTS.values():
            cloudpickle.register_pickle_by_value(sys.modules[type(output).__module__])  # type: ignore[no-untyped-call]
    return outputs


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one here; an existing connection is used and kept open."""
    import ray

    if ray.is_initialized():
        yield
        return
    if address is not None:
        _reach(address)
    try:
        started = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        ray.init(log_to_driver=False, **(started if address is None else {"address": address}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"address={address}: {error}", expected="a running Ray cluster") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the run shows its own progress
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise immediately if nothing answers at an address; Ray itself would try for many minutes."""
    place = re.fullmatch(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d+)", address)
    if place is None:  # "auto" and "local", or an address that Ray refuses
        return
    try:
        socket.create_connection((place[1], int(place[2])), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        expected = "a Ray cluster, such as ray://head:10001"
        raise ConfigError(f"address={address} cannot be reached ({error})", expected=expected) from error
