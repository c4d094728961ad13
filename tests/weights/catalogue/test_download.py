"""Files by address are fetched once, resumed, compared, and taken from a mirror; and every name finds its entry."""

from __future__ import annotations

import hashlib
import re
import time
from email.utils import formatdate

import hub
import pytest
from silent import Silent

from xseg.encoders.variants import list_encoders
from xseg.errors import WeightsError
from xseg.weights.catalogue.download import fetch_from_web, locate
from xseg.weights.catalogue.entries import CATALOGUE, HubFile, WebFile, find_entry, names_for

DATA = bytes(range(256)) * 20000


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("XSEG_WEIGHTS_MIRROR", raising=False)
    behaviour = hub.Behaviour({"models/zoo.tar.gz": DATA})
    with hub.serve(behaviour) as address:
        yield behaviour, f"{address}/models/zoo.tar.gz"


def gets(behaviour):
    return [range_ for method, _, range_ in behaviour.requests if method == "GET"]


def test_a_file_is_fetched_once_with_progress(server):
    behaviour, url = server
    shown = Silent()
    path = fetch_from_web(WebFile(url), show=shown)
    assert path.read_bytes() == DATA
    assert (shown.done, shown.total) == (len(DATA) >> 20, len(DATA) >> 20)
    assert fetch_from_web(WebFile(url)) == path
    assert len(gets(behaviour)) == 1


def test_a_cut_connection_is_resumed_where_it_stopped(server):
    behaviour, url = server
    behaviour.cut_after = [1_000_000, 500_000]
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA
    assert [range_ != "" for range_ in gets(behaviour)] == [False, True, True]


def test_a_later_run_goes_on_and_a_changed_file_starts_again(server, tmp_path):
    behaviour, url = server
    behaviour.cut_after = [700_000, 0, 0, 0]
    with pytest.raises(WeightsError, match="run again to resume"):
        fetch_from_web(WebFile(url))
    assert next((tmp_path / "cache" / "weights").glob("*.part")).stat().st_size > 0
    behaviour.files["models/zoo.tar.gz"] = DATA[::-1]
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA[::-1]


def test_a_server_without_ranges_is_asked_for_the_whole(server):
    behaviour, url = server
    behaviour.ranges, behaviour.cut_after = False, [1_000_000]
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the download waits, without waiting."""
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_when_it_says(server, waits, status):
    behaviour, url = server
    behaviour.busy = [(status, {"Retry-After": "7"}), (status, {"Retry-After": "2"})]
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA
    assert waits == [7, 2]


def test_a_busy_server_that_names_a_date_is_asked_after_it(server, waits):
    behaviour, url = server
    later = formatdate(time.time() + 20, usegmt=True)
    behaviour.busy = [(503, {"Retry-After": later}), (503, {"Retry-After": formatdate(0, usegmt=True)})]
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA
    assert 15 < waits[0] <= 21
    assert waits[1] == 0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-4"}])
def test_a_busy_server_that_names_no_time_is_asked_after_ever_longer(server, waits, headers):
    behaviour, url = server
    behaviour.busy = [(429, headers)] * 3
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA
    assert waits == [1, 2, 4]


def test_a_download_resumes_after_a_busy_answer(server, waits):
    behaviour, url = server
    behaviour.cut_after = [700_000, 0, 0, 0]
    with pytest.raises(WeightsError):
        fetch_from_web(WebFile(url))
    behaviour.busy, asked = [(503, {"Retry-After": "3"})], len(gets(behaviour))
    assert fetch_from_web(WebFile(url)).read_bytes() == DATA
    assert gets(behaviour)[asked:] == ["bytes=700000-"] * 2
    assert waits == [3]


def test_a_server_that_stays_busy_or_asks_for_hours_is_an_error(server, waits):
    behaviour, url = server
    behaviour.busy = [(503, {})] * 9
    with pytest.raises(WeightsError, match=r"503 .*run again to resume.*XSEG_WEIGHTS_MIRROR"):
        fetch_from_web(WebFile(url))
    assert 3 <= len(waits) <= 8
    behaviour.busy, already = [(429, {"Retry-After": "7200"})], len(waits)
    with pytest.raises(WeightsError, match=r"429 .*wait of 7200 seconds"):
        fetch_from_web(WebFile(url))
    assert len(waits) == already


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_wrong_checksum_is_refused_and_nothing_kept(server, tmp_path, kind):
    _, url = server
    right = hashlib.new(kind, DATA).hexdigest()
    with pytest.raises(WeightsError, match=f"arrived with {kind}"):
        fetch_from_web(WebFile(url, **{kind: "0" * len(right)}))
    assert not list((tmp_path / "cache" / "weights").glob("zoo*"))
    assert fetch_from_web(WebFile(url, **{kind: right})).read_bytes() == DATA


def test_missing_files_and_unreachable_servers_are_one_line(server):
    _, url = server
    for address in (url + ".nothing", "http://127.0.0.1:9/zoo2.tar.gz"):
        with pytest.raises(WeightsError) as caught:
            fetch_from_web(WebFile(address))
        assert "\n" not in str(caught.value)
        assert "XSEG_WEIGHTS_MIRROR" in str(caught.value)


def test_a_mirror_is_a_folder_or_an_address(server, tmp_path, monkeypatch):
    _, url = server
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies/other.tar.gz").write_bytes(b"mine")
    monkeypatch.setenv("XSEG_WEIGHTS_MIRROR", str(tmp_path / "copies"))
    assert fetch_from_web(WebFile("http://download.example/other.tar.gz")).read_bytes() == b"mine"
    with pytest.raises(WeightsError, match=r"has no third\.tar\.gz"):
        fetch_from_web(WebFile("http://download.example/third.tar.gz"))
    monkeypatch.setenv("XSEG_WEIGHTS_MIRROR", url.rsplit("/", 1)[0])
    assert fetch_from_web(WebFile("http://download.example/zoo.tar.gz")).read_bytes() == DATA


@pytest.mark.parametrize("encoder", list_encoders())
def test_every_encoder_has_imagenet_weights(encoder):
    assert find_entry("imagenet", encoder).encoder == encoder


def test_names_select_one_entry_each_and_places_are_whole():
    for entry in CATALOGUE:
        for name in entry.names:
            assert find_entry(name, entry.encoder) is entry
            assert find_entry(f"{entry.encoder}/{name}") is entry
        assert isinstance(entry.place, HubFile) or entry.place.url.startswith(("https://", "http://"))
        assert entry.license
        assert entry.source
    assert len(set(names_for(None))) == len(names_for(None))


def test_a_path_goes_before_a_name_and_a_wrong_name_gets_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").write_bytes(b"x")
    assert str(locate("imagenet", encoder="xception65")) == "imagenet"
    with pytest.raises(WeightsError, match="did you mean voc_trainaug"):
        locate("voc_trainau", encoder="xception65")


@pytest.mark.parametrize(
    ("name", "repo"), [("imagenet", "timm/xception65.ra3_in1k"), ("tf_in1k", "timm/xception65.tf_in1k")]
)
def test_each_published_set_of_an_encoder_has_a_name(name, repo):
    assert find_entry(name, "xception65").place.repo == repo


def score(entry):
    """Return an entry's top-1 on ImageNet; 0 where it is a copy or has none."""
    found = re.search(r"ImageNet top-1 ([\d.]+)", entry.score)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("encoder", list_encoders())
def test_imagenet_is_the_best_published(encoder):
    chosen = find_entry("imagenet", encoder)
    if chosen.score == "Cadene's file":
        chosen = find_entry("cadene", encoder)
    assert score(chosen) == max(score(entry) for entry in CATALOGUE if entry.encoder == encoder) > 0


def test_every_set_that_timm_publishes_is_here():
    timm = pytest.importorskip("timm")
    ours = {f"timm/{entry.encoder}.{entry.names[0]}" for entry in CATALOGUE if entry.origin == "timm"}
    theirs = {
        timm.get_pretrained_cfg(name).hf_hub_id for name in timm.list_pretrained("xception*") if "legacy" not in name
    }
    assert ours == theirs
    legacy = timm.get_pretrained_cfg("legacy_xception.tf_in1k")
    assert find_entry("tf_in1k", "xception").place == WebFile(legacy.url)
