"""The images of a run on a Ray cluster: the same stream, in actors that load the model once.

Ray spreads the work, retries what was lost with a machine, and brings the rows back. A window of images is one unit of
work: images are grouped within windows alone, so that batches, and so masks, are those of a single machine.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError, MissingExtraError
from xseg.files.remote import is_url
from xseg.inference.options import InferenceOptions
from xseg.inference.pipeline import Request, window_of
from xseg.inference.predictor import load
from xseg.predict.job import Job, predict_images
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import OUTPUTS
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import Row
from xseg.predict.writer import PredictionWriter
from xseg.types import PathArgument

Batch = dict[str, NDArray[Any]]

OBJECT_STORE_BYTES = 100 * 2**20  # of a Ray that is started here: paths and rows alone go through it
CPUS_PER_ACTOR = 1
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Window:
    """Images that are predicted on together, somewhere.

    Args:
        requests: of one window, in order.
        sources: of the requests, by their indices.
    """

    requests: tuple[Request, ...]
    sources: dict[int, Source]


class Actor:
    """Predicts on windows of work; the model is loaded once.

    Args:
        model: its directory or Hub id.
        options: how it is run.
        output_dir: folder or URL to write to.
        outputs: what is written beside what is always written.
    """

    def __init__(self, model: str, options: InferenceOptions, output_dir: str, outputs: tuple[Output, ...]) -> None:
        self._predictor = load(model, **asdict(options))
        folder = OutputFolder.named(output_dir)
        self._writer = PredictionWriter(folder.directory, outputs, folder.url)

    def __call__(self, batch: Batch) -> Batch:
        """Predict on windows and return their rows."""
        rows: list[Row] = []
        for window in batch["window"]:
            rows += predict_images(self._predictor, window.sources, self._writer, window.requests)
        return {"row": _objects(rows)}


def ray_engine(
    model: PathArgument, options: InferenceOptions, address: str | None
) -> Callable[[Job, Sequence[Request]], Iterator[Row]]:
    """Return an engine for `Job.run` that predicts on a Ray cluster.

    Args:
        model: its directory, which every machine sees, or its Hub id, with which every machine fetches it.
        options: how the model is run, with what "auto" means settled, so that all machines do the same.
        address: of the cluster; None starts Ray on this machine.

    Raises:
        MissingExtraError: if Ray is not installed.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ray", extra="ray", purpose="--engine ray") from error

    absolute = str(Path(model).resolve() if Path(model).exists() else model)

    def engine(job: Job, requests: Sequence[Request]) -> Iterator[Row]:
        with _connected(address):
            yield from _rows(job, requests, absolute, options)

    return engine


def _rows(job: Job, requests: Sequence[Request], model: str, options: InferenceOptions) -> Iterator[Row]:
    import ray

    windows = list(_windows(job.sources, requests, options.batch_size))
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = max(1, int(resources.get("CPU", 1)) // CPUS_PER_ACTOR)
    gpus = 1 if job.predictor.device.type == "cuda" else 0
    dataset = ray.data.from_items(
        [{"window": window} for window in windows], override_num_blocks=len(windows)
    ).map_batches(
        Actor,
        fn_constructor_args=(model, options, _absolute(job.options.output_dir), _portable(job.outputs)),
        batch_size=1,
        concurrency=(1, min(workers, len(windows))),
        num_cpus=CPUS_PER_ACTOR,
        num_gpus=gpus,
    )
    for item in dataset.iter_rows():
        yield item["row"]


def _windows(sources: Sequence[Source], requests: Sequence[Request], batch_size: int) -> Iterator[Window]:
    """Cut the requests at windows; those that are done as a whole are left out."""
    for _, group in groupby(requests, key=lambda request: window_of(request, batch_size)):
        # The machines work in folders of their own
        window = tuple(replace(request, path=Path(os.path.abspath(request.path))) for request in group)  # noqa: PTH100
        if not all(request.done for request in window):
            yield Window(window, {request.index: sources[request.index] for request in window})


def _absolute(output_dir: str) -> str:
    return output_dir if is_url(output_dir) else os.path.abspath(output_dir)  # noqa: PTH100


def _portable(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
    """Let the code of a user's own outputs travel with them: the machines cannot import a file of this one."""
    from ray import cloudpickle

    for output in outputs:
        if type(output) not in OUTPUTS.values():
            cloudpickle.register_pickle_by_value(sys.modules[type(output).__module__])  # type: ignore[no-untyped-call]
    return outputs


def _objects(items: Sequence[Any]) -> NDArray[Any]:
    """Return objects as an array, as Ray wants columns."""
    column = np.empty(len(items), object)
    column[:] = items
    return column


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one here; a connection that is there already is used and kept."""
    import ray

    if ray.is_initialized():
        yield
        return
    if address is not None:
        _reach(address)
    try:
        if address is None:
            ray.init(object_store_memory=OBJECT_STORE_BYTES, log_to_driver=False, include_dashboard=False)
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"address={address}: {error}", expected="a Ray cluster that runs") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the run shows its own progress
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise at once if nothing answers at an address; Ray itself would try for many minutes.

    Raises:
        ConfigError: if nothing answers.
    """
    place = re.fullmatch(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d+)", address)
    if place is None:  # "auto" and "local", or what Ray will refuse by itself
        return
    try:
        socket.create_connection((place[1], int(place[2])), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"address={address} cannot be reached ({error})", expected="a Ray cluster, as ray://head:10001"
        ) from error
