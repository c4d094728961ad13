"""Tars of checkpoints: which files are taken out of them, and which tars are not opened at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from xseg.errors import WeightsError
from xseg.weights.formats import archive
from xseg.weights.formats.archive import extract_checkpoint, is_tar

CHECKPOINT = {
    "m/a.ckpt.index": b"index",
    "m/a.ckpt.data-00000-of-00001": b"data" * 999,
    "frozen_inference_graph.pb": b"g",
}
OTHERS = {
    "m/a.ckpt.meta": b"x",
    "m/readme.txt": b"x",
    "m/a.ckpt.data-0-of-1": b"x",
    "m/old_frozen_inference_graph.pb": b"",
}


def pack(path, members, mode="w", kind=tarfile.REGTYPE):
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "m/a.ckpt.index"
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_of_a_tar_packed_anyhow_the_checkpoint_alone_is_taken_out(tmp_path, folder, mode):
    path = pack(tmp_path / "weights", {**OTHERS, **CHECKPOINT}, mode)
    assert is_tar(path)
    assert not is_tar(Path(__file__))
    assert extract_checkpoint(path, folder) == folder
    written = {found.relative_to(folder).as_posix(): found.read_bytes() for found in folder.rglob("*")}
    assert written == {name.rpartition("/")[2]: data for name, data in CHECKPOINT.items()}


@pytest.mark.parametrize(("limit", "fits"), [(4002, True), (4001, False)])
def test_the_limit_is_on_all_files_together(tmp_path, folder, monkeypatch, limit, fits):
    monkeypatch.setattr(archive, "MAX_BYTES", limit)
    path = pack(tmp_path / "a.tar", {**OTHERS, **CHECKPOINT})
    if fits:
        extract_checkpoint(path, folder)
        return
    with pytest.raises(WeightsError, match=f"unpacks to over {limit} bytes"):
        extract_checkpoint(path, folder)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path, folder, kind):
    with pytest.raises(WeightsError, match=r"a\.ckpt\.index is a link; it is hostile"):
        extract_checkpoint(pack(tmp_path / "a.tar", {"a.ckpt.index": b""}, kind=kind), folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_cut_inside_its_files_is_one_line(tmp_path, folder, mode):
    path = pack(tmp_path / "a.tar", CHECKPOINT, mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3 if mode != "w" else 1600])
    with pytest.raises(WeightsError, match=r"^[^\n]+cannot be unpacked[^\n]+expected a complete tar[^\n]+$"):
        extract_checkpoint(path, folder)
