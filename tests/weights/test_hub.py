"""Files of the Hub arrive whole, once, and every refusal is one line; against a server on the loopback address."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("fake_hub", Path(__file__).parents[1] / "fakes/hub.py")
hub = importlib.util.module_from_spec(spec)
sys.modules["fake_hub"] = hub
spec.loader.exec_module(hub)

REPO, FILE = "timm/xception41.tf_in1k", "model.safetensors"
DATA = bytes(range(256)) * 4096
PROGRAM = """
import sys
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # what is resumed is whole chunks, of 10 MB
from xseg.weights.catalogue import HubFile
from xseg.weights.hub import fetch_from_hub
from xseg.errors import WeightsError
for _ in range(int(sys.argv[3])):
    try:
        path = fetch_from_hub(HubFile(sys.argv[1], sys.argv[2]))
        print("whole" if path.read_bytes() == bytes(range(256)) * 4096 else "other")
    except WeightsError as error:
        print("error:", error)
"""


def run(endpoint, home, *, repo=REPO, file=FILE, times=1, **environment):
    """Fetch in a process of its own: the Hub's library reads its environment when it is imported."""
    variables = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    variables.pop("HF_TOKEN", None) if "HF_TOKEN" not in environment else None
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, repo, file, str(times)],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return result.stdout.strip().splitlines() or [result.stderr[-2000:]]


@pytest.fixture
def server():
    behaviour = hub.Behaviour({f"{REPO}/{FILE}": DATA})
    with hub.serve(behaviour) as endpoint:
        yield behaviour, endpoint


def test_a_cold_cache_is_filled_and_a_warm_one_is_not_fetched_again(server, tmp_path):
    behaviour, endpoint = server
    assert run(endpoint, tmp_path, times=2) == ["whole", "whole"]
    assert sum(method == "GET" and "resolve" in path for method, path, _ in behaviour.requests) == 1


def test_offline_serves_what_is_cached_and_refuses_the_rest_in_one_line(server, tmp_path):
    _, endpoint = server
    assert run(endpoint, tmp_path) == ["whole"]
    assert run(endpoint, tmp_path, HF_HUB_OFFLINE="1") == ["whole"]
    (line,) = run(endpoint, tmp_path / "other", HF_HUB_OFFLINE="1")
    assert line.startswith("error:")
    assert "HF_HUB_OFFLINE" in line


def test_an_unreachable_hub_serves_what_is_cached(server, tmp_path):
    _, endpoint = server
    assert run(endpoint, tmp_path) == ["whole"]
    assert run("http://127.0.0.1:9", tmp_path) == ["whole"]


def test_an_interrupted_file_is_resumed(server, tmp_path):
    behaviour, endpoint = server
    behaviour.cut_after = [300_000]
    lines = run(endpoint, tmp_path, times=2)
    assert lines[-1] == "whole"
    assert any(range_.startswith("bytes=2") for _, _, range_ in behaviour.requests)


def test_other_bytes_than_announced_are_refused_and_removed(server, tmp_path):
    behaviour, endpoint = server
    behaviour.announce[f"{REPO}/{FILE}"] = "ab" * 32
    (line,) = run(endpoint, tmp_path)
    assert "another SHA-256" in line
    assert not list(tmp_path.rglob("ab" * 32))


def test_a_private_repository_needs_the_token(server, tmp_path):
    behaviour, endpoint = server
    behaviour.private.add(REPO)
    (line,) = run(endpoint, tmp_path)
    assert "set HF_TOKEN" in line
    assert run(endpoint, tmp_path, HF_TOKEN="hf_right") == ["whole"]


def test_a_missing_file_and_a_missing_repository_are_one_line_each(server, tmp_path):
    _, endpoint = server
    for arguments in ({"file": "nothing.bin"}, {"repo": "nobody/nothing"}):
        lines = run(endpoint, tmp_path, **arguments)
        assert len(lines) == 1
        assert lines[0].startswith("error:")
