"""Files of the Hub arrive whole, once, and every refusal is one line; against a server on the loopback address."""

from __future__ import annotations

import os
import subprocess
import sys

import hub
import pytest
import torch
from safetensors.torch import save
from segmentation_models_pytorch.encoders import get_encoder

REPO, FILE = "timm/xception41.tf_in1k", "model.safetensors"
DATA = bytes(range(256)) * 4096
PROGRAM = """
import sys
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # what is resumed is whole chunks, of 10 MB
from xseg.weights.catalogue.entries import HubFile
from xseg.weights.catalogue.hub import fetch_from_hub
from xseg.errors import WeightsError
for _ in range(int(sys.argv[3])):
    try:
        path = fetch_from_hub(HubFile(sys.argv[1], sys.argv[2]))
        print("whole" if path.read_bytes() == bytes(range(256)) * 4096 else "other")
    except WeightsError as error:
        print("error:", error)
"""


SMP_PROGRAM = """
import segmentation_models_pytorch as smp
import torch
import xseg
xseg.register_smp()
settings = {"encoder_depth": 4, "decoder_channels": (8, 8, 8, 8), "in_channels": 4}
unet = smp.Unet("xseg-xception", encoder_weights="imagenet", **settings)
ours = xseg.create_encoder("xception", weights="imagenet", depth=4, in_channels=4).state_dict()
theirs = unet.encoder.state_dict()
print(set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours))
print({module.eps for module in unet.encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)})
print(float(theirs["stem.conv1.conv.weight"][0, 3, 0, 0]))
try:
    xseg.create_encoder("xception65", weights="tf_in1k")
except xseg.XsegError as error:
    print(error)
"""
BUNDLE_PROGRAM = """
import sys
import torch
from xseg.errors import WeightsError
from xseg.labels.label_map import LabelMap
from xseg.bundles.bundle import Bundle
from xseg.bundles.hub import pull_from_hub, push_to_hub
from xseg.models.config import ModelConfig
from xseg.models.build import build_model
from xseg.images.normalization import Normalization
model = build_model(ModelConfig(encoder="xception41", width=0.125, decoder_channels=16, classes=2)).eval()
bundle = Bundle(model, LabelMap(("road", "other")), Normalization(), {"license": "Apache-2.0", "val_miou": 0.625})
for call in (
    lambda: push_to_hub(bundle, "me/net"),
    lambda: print(push_to_hub(bundle, "me/net", token="hf_right").rsplit("/", 2)[0][-7:]),
    lambda: print(pull_from_hub("me/nothing")),
    lambda: print(pull_from_hub("no/such/place")),
):
    try:
        call()
    except WeightsError as error:
        print("error:", error)
again = pull_from_hub("me/net")
print(again.labels == bundle.labels, again.model.config == bundle.model.config, again.provenance["val_miou"])
theirs = again.model.state_dict()
print(all(torch.equal(theirs[name], tensor) for name, tensor in model.state_dict().items()))
"""


def run_program(endpoint, home, program, *arguments, **environment):
    """Run a program in a process of its own: the Hub's library reads its environment when it is imported."""
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
        [sys.executable, "-c", program, *arguments],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return result.stdout.strip().splitlines() or [result.stderr[-2000:]]


def run(endpoint, home, *, repo=REPO, file=FILE, times=1, **environment):
    """Fetch a file."""
    return run_program(endpoint, home, PROGRAM, repo, file, str(times), **environment)


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


@pytest.mark.slow
@pytest.mark.slow
def test_smp_loads_an_encoders_weights_from_the_hub_as_this_project_does(server, tmp_path):
    behaviour, endpoint = server
    state = {**get_encoder("xception", weights=None).state_dict(), "fc.weight": torch.zeros(1000, 2048)}
    state["conv1.weight"] = torch.arange(1.0, 4.0).reshape(1, 3, 1, 1).expand(32, 3, 3, 3).contiguous()
    behaviour.files["smp-hub/xception.imagenet/model.safetensors"] = save(state)
    behaviour.files["smp-hub/xception.imagenet/config.json"] = b"{}"
    same, epsilon, fourth, refused = run_program(endpoint, tmp_path, SMP_PROGRAM)
    assert (same, epsilon) == ("True", "{1e-05}")  # Cadene's, where the encoder's own is 1e-3
    assert float(fourth) == 0.75  # the fourth channel takes the first one's kernel, 3 / 4 of it
    assert "timm/xception65.tf_in1k: model.safetensors is not on the Hugging Face Hub" in refused
    assert sum(method == "GET" and FILE in path for method, path, _ in behaviour.requests) == 1


def test_a_bundle_is_pushed_with_its_card_and_pulled(server, tmp_path):
    behaviour, endpoint = server
    lines = run_program(endpoint, tmp_path, BUNDLE_PROGRAM)
    assert lines[0].startswith("error: pushing to me/net is not on the Hugging Face Hub, or you have no access")
    assert lines[1] == "/me/net"
    assert lines[2].startswith("error: me/nothing is not on the Hugging Face Hub")
    assert lines[3] == "error: no/such/place is neither a directory here nor a Hub id; expected owner/name"
    assert lines[4:] == ["True True 0.625", "True"]
    assert {name for name in behaviour.files if name.startswith("me/")} == {
        "me/net/config.json", "me/net/model.safetensors", "me/net/README.md"
    }  # fmt: skip
    card = behaviour.files["me/net/README.md"].decode()
    for part in ("license: apache-2.0", 'xseg.load("me/net")', "| 0 | road |", "val_miou: 0.625"):
        assert part in card
