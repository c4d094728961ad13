import errno
import os
import resource
import signal

import pytest
import torch

from xseg.errors import DataError, WeightsError
from xseg.training.checkpoints.io import AtomicCheckpointIO, damage, read_checkpoint, sound_checkpoint


def save(path, value):
    AtomicCheckpointIO().save_checkpoint({"xseg": {}, "value": torch.full((1000,), float(value))}, path)


def value(path):
    return read_checkpoint(path)["value"][0].item()


@pytest.fixture
def last(tmp_path):
    path = tmp_path / "last.ckpt"
    for number in (1, 2, 3):
        save(path, number)
    return path


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_the_one_before_is_kept_and_no_more(last):
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert (value(last), value(last.with_name("previous.ckpt"))) == (3, 2)


def test_a_checkpoint_that_fails_leaves_the_older_ones(last):
    with pytest.raises(Exception, match="pickle"):
        AtomicCheckpointIO().save_checkpoint({"broken": lambda: None}, last)
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert (value(last), value(last.with_name("previous.ckpt"))) == (3, 2)


@pytest.fixture
def small_disk():
    """Let no file of this process grow beyond a few thousand bytes, as on a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_takes_no_more_is_a_clear_error_and_loses_nothing(last, small_disk):
    with pytest.raises(
        DataError, match=r"last.ckpt cannot be written: File too large.*free disk space and resume from"
    ) as error:
        save(last, 4)
    assert "\n" not in str(error.value)
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert (value(last), value(last.with_name("previous.ckpt"))) == (3, 2)


def test_a_full_disk_that_is_noticed_only_when_written_through_is_told_too(last, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        save(last, 4)
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert value(last) == 3


def test_without_links_the_one_before_is_still_kept(last, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save(last, 4)
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert (value(last), value(last.with_name("previous.ckpt"))) == (4, 3)


def test_an_interruption_between_the_two_names_leaves_nothing_over(last):
    """Both names for one file, as after a kill in between: the next checkpoint sorts it out."""
    last.unlink()
    os.link(last.with_name("previous.ckpt"), last)
    save(last, 4)
    assert names(last) == ["last.ckpt", "previous.ckpt"]
    assert (value(last), value(last.with_name("previous.ckpt"))) == (4, 2)


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = data.index(torch.full((10,), 3.0).numpy().tobytes()) + 20
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("harm", [cut, flipped, lambda _: b"", lambda data: b"\0" * len(data)])
def test_a_torn_checkpoint_is_recognised_and_the_one_before_is_used(last, harm):
    last.write_bytes(harm(last.read_bytes()))
    assert damage(last) is not None
    sound, note = sound_checkpoint(last)
    assert value(sound) == 2
    assert "resuming from previous.ckpt instead" in note
    sound.write_bytes(harm(sound.read_bytes()) if harm is not flipped else b"x")
    with pytest.raises(WeightsError, match=r"previous.ckpt is not a complete"):
        sound_checkpoint(last)


def test_a_missing_last_one_is_replaced_by_the_one_before(last):
    last.unlink()
    assert value(sound_checkpoint(last)[0]) == 2


def test_a_whole_one_is_used_without_a_word(last):
    assert sound_checkpoint(last) == (last, None)


def test_what_is_no_checkpoint_of_ours_or_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"xseg": {}, "evil": Evil()}, tmp_path / "evil.ckpt")
    torch.save({"model": torch.zeros(2)}, tmp_path / "foreign.ckpt")
    for name in ("evil", "foreign"):
        with pytest.raises(WeightsError, match=r"expected the last.ckpt of a run"):
            read_checkpoint(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "owned").exists()
