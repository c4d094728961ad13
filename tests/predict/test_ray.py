"""A Ray cluster of two nodes in processes of this machine, one of which is lost midway."""

from __future__ import annotations

import hashlib
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from xseg.bundles.bundle import Bundle, save_bundle
from xseg.errors import ConfigError, MissingExtraError
from xseg.files.progress import Progress
from xseg.images.normalization import Normalization
from xseg.inference.loading import load
from xseg.inference.options import InferenceOptions
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig
from xseg.predict.job import Job
from xseg.predict.options import EngineOptions, FolderOptions
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.ray import _windows, ray_engine
from xseg.predict.sources import Source, expand_sources

IMAGES = 96
OPTIONS = InferenceOptions(device="cpu", batch_size=2)


class Count(Progress):
    """Shows nothing; calls a function when some images are done."""

    def __init__(self, at=0, then=lambda: None):
        self.done, self.at, self.then = 0, at, then

    def advance(self, count=1):
        before, self.done = self.done, self.done + count
        if before < self.at <= self.done:
            self.then()

    def message(self, line):
        pass

    def __call__(self, title, total, *, unit="images"):  # noqa: ARG002 - the protocol's names
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def bundle(tmp_path, settled, waves):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=5, width=0.125, depth=3, decoder_channels=16))
    torch.nn.init.normal_(network.segmentation_head.weight)
    settled(network, waves(2, 3, 65, 65))
    return save_bundle(Bundle(network, LabelMap(tuple("abcde")), Normalization()), tmp_path / "bundle")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(IMAGES):
        size = [(52, 40), (47, 33), (61, 35)][index % 3]
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def make_job(bundle, pictures, directory, show, **wanted):
    sources = expand_sources([str(item) for item in pictures])
    predictor, folder = load(bundle, device="cpu", batch_size=2), FolderOptions(str(directory))
    return Job(predictor, sources, folder, {}, show, create_outputs(wanted))


def hashes(directory):
    files = [path for path in directory.rglob("*") if path.is_file() and path.parent != directory]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def alive(ray):
    return [node["Alive"] for node in ray.nodes()].count(True)


def wait_for(condition, seconds=120):
    """A cluster learns of its nodes by heartbeats, which a busy machine delays."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
    return condition()


@pytest.mark.slow
def test_a_lost_node_costs_nothing_but_time_from_paths_and_urls(bundle, pictures, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default, which starves beside tests in other processes
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    make_job(bundle, [pictures], tmp_path / "local", Count(), overlay=True).run()
    url, out = pictures.as_uri(), (tmp_path / "ray").as_uri()
    from_both = [pictures / "[0-3]*.png", f"{url}/[4-9]*.png", f"{url}/broken.png"]
    memory = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    try:
        ray.init(address=cluster.address, log_to_driver=False)  # before there is another node to connect to
        lost = cluster.add_node(num_cpus=1, **memory)
        assert wait_for(lambda: alive(ray) == 2)
        show = Count(at=IMAGES // 4, then=lambda: cluster.remove_node(lost, allow_graceful=False))
        rows = make_job(bundle, from_both, out, show, overlay=True).run(ray_engine(bundle, OPTIONS, None))
        assert wait_for(lambda: alive(ray) == 1), "the cluster has learnt of the loss"
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert show.done == len(rows) == IMAGES + 1
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "local")


def test_work_is_divided_into_windows_without_those_that_are_done(tmp_path):
    from xseg.inference.pipeline import WINDOW, Request

    sources = [Source(tmp_path / f"{index}.png", str(index)) for index in range(40)]
    requests = [Request(index, source.path, index < 20) for index, source in enumerate(sources)]
    windows = list(_windows(sources, requests, 2))
    places = [[request.index for request in window] for window, _ in windows]
    assert places == [[*range(start, min(start + 2 * WINDOW, 40))] for start in (16, 32)]
    assert all(found[request.index].path == request.path for window, found in windows for request in window)


def test_a_missing_ray_is_told_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xseg\[ray\]'"):
        ray_engine(tmp_path, OPTIONS, None)


def test_a_cluster_that_does_not_answer_is_told_at_once(bundle, pictures, tmp_path):
    pytest.importorskip("ray")
    job = make_job(bundle, [pictures], tmp_path / "out", Count())
    with pytest.raises(ConfigError, match=r"address=localhost:1 cannot be reached \(.*\); expected a Ray cluster"):
        job.run(ray_engine(bundle, OPTIONS, "localhost:1"))


def test_an_address_for_this_machine_alone_is_refused():
    with pytest.raises(ConfigError, match="address=auto with engine=local; expected engine=ray"):
        EngineOptions(address="auto")
