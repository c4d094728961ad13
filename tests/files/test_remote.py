"""Files at URLs: in the memory of this process, on this disk, and over HTTP from this machine."""

from __future__ import annotations

import functools
import http.server
import threading

import fsspec
import pytest

from xseg.errors import ConfigError, DataError
from xseg.files.remote import (
    fetch,
    files_below,
    files_matching,
    is_file,
    is_folder,
    is_url,
    join_url,
    opened_url,
    remove,
    send,
)

FILES = {"a/one.jpg": b"1", "a/b/two.png": b"22", "a/b/three.txt": b"333"}


@pytest.fixture(params=["memory", "file"])
def folder(request, tmp_path):
    """The URL of a folder with files."""
    url = f"memory://{tmp_path.name}" if request.param == "memory" else (tmp_path / "store").as_uri()
    for name, content in FILES.items():
        here = tmp_path / "sent"
        here.write_bytes(content)
        send(here, join_url(url, name))
    yield url
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize(
    "text", ["s3://bucket/a", "gs://b", "memory://x", "simplecache::s3://b/a", "https://host/a.jpg"]
)
def test_urls_are_told(text):
    assert is_url(text)


@pytest.mark.parametrize("text", ["photos", "/a/b", "C://photos", r"C:\photos", "@list.txt", "a:b", "0", "", None])
def test_paths_are_no_urls(text):
    assert not is_url(text)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_listed_by_names_below_it(folder, slash):
    assert files_below(folder + slash) == sorted(FILES)
    assert files_below(join_url(folder, "a/b") + slash) == ["three.txt", "two.png"]
    assert files_below(join_url(folder, "nothing")) == []


@pytest.mark.parametrize(
    ("pattern", "root", "names"),
    [
        ("a/*", "a", ["one.jpg"]),
        ("a/b/t*.png", "a/b", ["two.png"]),
        ("a/**/*.[jp]*", "a", ["b/two.png", "one.jpg"]),
        ("*/b/*.txt", "", ["a/b/three.txt"]),
        ("a/*.gif", "a", []),
    ],
)
def test_a_glob_gives_files_and_what_stands_before_it(folder, pattern, root, names):
    assert files_matching(join_url(folder, pattern)) == (join_url(folder, root).rstrip("/"), names)


def test_files_and_folders_are_told_apart(folder):
    assert is_file(join_url(folder, "a/one.jpg"))
    assert not is_file(join_url(folder, "a"))
    assert is_folder(join_url(folder, "a"))
    assert not is_folder(join_url(folder, "a/one.jpg"))
    assert not is_folder(join_url(folder, "nothing"))


def test_what_is_sent_is_fetched_and_removed(folder, tmp_path):
    for name, content in FILES.items():
        assert fetch(join_url(folder, name), tmp_path / "back" / name).read_bytes() == content
        with opened_url(join_url(folder, name)) as file:
            assert file.read() == content
    newer = tmp_path / "newer"
    newer.write_bytes(b"newer")
    send(newer, join_url(folder, "a/one.jpg"))
    assert fetch(join_url(folder, "a/one.jpg"), tmp_path / "again").read_bytes() == b"newer"
    for _ in range(2):  # the second time it is gone already
        remove(join_url(folder, "a/one.jpg"))
        assert "a/one.jpg" not in files_below(folder)


@pytest.mark.parametrize("name", ["nothing.jpg", "a"])
def test_what_is_no_file_leaves_nothing_here(folder, tmp_path, name):
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        fetch(join_url(folder, name), tmp_path / "back" / "x.jpg")
    assert not list((tmp_path / "back").iterdir())


def test_a_protocol_that_is_not_installed_is_told():
    with pytest.raises(ConfigError, match=r"nosuch://a/b: .*; expected a URL with a protocol that fsspec supports"):
        files_below("nosuch://a/b")


def test_what_goes_wrong_far_away_is_one_line(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise RuntimeError("403\nForbidden")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", refused)
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(DataError, match="memory://y cannot be written: 403 Forbidden"):
        send(tmp_path / "x", "memory://y")


def test_files_come_over_http(tmp_path):
    pytest.importorskip("aiohttp")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "one.jpg").write_bytes(b"1")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert is_file(f"{url}/one.jpg")
        assert fetch(f"{url}/one.jpg", tmp_path / "back").read_bytes() == b"1"
        with pytest.raises(DataError, match="no such file"):
            fetch(f"{url}/two.jpg", tmp_path / "back")
    finally:
        server.shutdown()
        server.server_close()
