from __future__ import annotations

import stat

import pytest

from xseg.files.atomic import atomic_path, write_text


def test_the_file_appears_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "new" / "file.tar.gz"
    with atomic_path(target) as beside:
        beside.write_text("whole")
        assert beside.suffix == ".gz"
        assert beside.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path, error):
    target = write_text(tmp_path / "file.txt", "old")

    def write_half():
        with atomic_path(target) as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_text_is_written_as_it_is(tmp_path):
    assert write_text(tmp_path / "a", "Straße\n\r\n").read_bytes() == "Straße\n\r\n".encode()


def test_files_are_readable_as_others_are(tmp_path):
    (tmp_path / "plain").write_text("")
    mode = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(write_text(tmp_path / "atomic", "").stat().st_mode) == mode
