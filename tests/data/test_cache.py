"""A cache gives what the reader gives, never something outdated or torn."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import numpy as np
import pytest

from xseg.data.cache import DiskCache, MemoryCache, cache_folder, reader_identity, sample_source
from xseg.data.options import DataOptions
from xseg.data.readers.dataset import DatasetReader
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Record, Sample
from xseg.errors import ConfigError, DataError


@pytest.fixture
def options(scenes_root, tmp_path):
    return DataOptions(reader="folder", root=str(scenes_root), cache="disk", cache_folder=str(tmp_path / "cache"))


@pytest.fixture
def reader(options):
    return create_reader(options)


def equal(one: Sample, other: Sample) -> bool:
    masks = one.mask is other.mask is None or np.array_equal(one.mask, other.mask)
    same = one.image.dtype == other.image.dtype and np.array_equal(one.image, other.image)
    return one.name == other.name and same and masks


class Counting:
    """A reader that counts what it decodes."""

    def __init__(self, reader):
        self.reader, self.reads = reader, 0

    def read(self, record):
        self.reads += 1
        return self.reader.read(record)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_are_decoded_once_and_give_the_same_samples(options, reader):
    counting = Counting(reader)
    cache = DiskCache(counting, cache_folder(options), "x")
    records = reader.records("train")
    for _ in range(3):
        for record in records:
            found = cache.read(record)
            assert equal(found, reader.read(record))
            found.image[0] = 0  # as a decoded array, writable and nobody else's
    assert counting.reads == len(records) == len(files(cache.folder))
    later = DiskCache(counting, cache_folder(options), "x")
    assert equal(later.read(records[0]), reader.read(records[0]))
    assert counting.reads == len(records)


def test_a_changed_file_is_decoded_anew_and_replaces_the_old_one(options, reader, save):
    cache = DiskCache(reader, cache_folder(options), "x")
    record = reader.records("train")[0]
    before = cache.read(record)
    save(255 - before.image, record.image)
    assert np.array_equal(cache.read(record).image, 255 - before.image)
    mask = np.full_like(before.mask, 2)
    save(mask, record.mask)
    assert np.array_equal(cache.read(record).mask, mask)
    assert len(files(cache.folder)) == 1


def test_a_file_of_the_same_size_and_another_time_is_decoded_anew(options, reader):
    counting = Counting(reader)
    cache = DiskCache(counting, cache_folder(options), "x")
    record = reader.records("train")[0]
    cache.read(record)
    os.utime(record.image, ns=(1, 1))
    cache.read(record)
    assert counting.reads == 2


def npz(**arrays):
    """The content of an archive of arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: data[:-100] + bytes(100),
        lambda data: data[:200] + bytes([255 - data[200]]) + data[201:],
        lambda data: data[:5000] + bytes([255 - data[5000]]) + data[5001:],
        lambda data: data[:-30] + bytes([255 - data[-30]]) + data[-29:],
        lambda data: b"no archive" + data[10:],
        lambda data: b"before" + data,
        lambda data: data + b"x",
        lambda _: npz(stamp=np.frombuffer(b"other", np.uint8)),
        lambda _: npz(image=np.zeros((2, 2, 3), np.uint8)),
        lambda _: npz(stamp=np.array([{"pickled": "object"}], object)),
    ],
)
def test_a_torn_file_is_decoded_anew(options, reader, damage):
    cache = DiskCache(reader, cache_folder(options), "x")
    record = reader.records("train")[0]
    expected = cache.read(record)
    path = cache.path(record)
    path.write_bytes(damage(path.read_bytes()))
    assert equal(cache.read(record), expected)
    assert equal(cache.read(record), expected)


def test_a_folder_that_cannot_be_written_costs_time_and_no_training(options, reader, tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(reader, tmp_path / "file", "x")
    record = reader.records("train")[0]
    assert equal(cache.read(record), reader.read(record))


def test_other_labels_or_channels_never_find_these_files(options, reader, scenes_root):
    grey = DataOptions(reader="folder", root=str(scenes_root), channels=1)
    assert reader_identity(options, reader) != reader_identity(grey, create_reader(grey))
    (scenes_root / "labels.yaml").unlink()
    (scenes_root / "classes.txt").write_text("\n".join("abcdefgh"))
    assert reader_identity(options, reader) != reader_identity(options, create_reader(options))


def test_samples_without_a_mask_and_of_many_channels_are_kept_too(tmp_path):
    sample = Sample("a", np.arange(5 * 4 * 7, dtype=np.uint16).reshape(5, 4, 7), None)

    class One:
        def read(self, _):
            return sample

    record = Record("a", tmp_path / "a.tif", None)
    cache = DiskCache(One(), tmp_path, "x")
    cache.read(record)
    assert cache.path(record).is_file()
    assert equal(cache.read(record), sample)


def test_memory_reads_everything_at_once_and_nothing_later(reader):
    counting = Counting(reader)
    records = reader.records("train")
    cache = MemoryCache(counting, records)
    assert counting.reads == len(records)
    assert all(equal(cache.read(record), reader.read(record)) for record in records)
    assert counting.reads == len(records)


def test_an_unreadable_record_is_told_when_memory_is_filled(reader, scenes_root):
    path = reader.records("train")[1].image
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"000001\.png cannot be decoded"):
        MemoryCache(reader, reader.records("train"))


def test_options_choose(reader, scenes_root):
    records = reader.records("train")
    kinds = {
        cache: sample_source(DataOptions(reader="folder", root=str(scenes_root), cache=cache), reader, records)
        for cache in ("none", "memory", "disk", True, False)
    }
    assert kinds["none"] is kinds[False] is reader
    assert isinstance(kinds["memory"], MemoryCache)
    assert isinstance(kinds[True], MemoryCache)
    assert isinstance(kinds["disk"], DiskCache)
    with pytest.raises(ConfigError, match="cache='ram'; expected one of auto, none, memory, disk"):
        DataOptions(cache="ram")


def test_by_default_samples_stay_in_memory_where_they_fit_with_a_margin(reader, scenes_root, monkeypatch):
    options, records = DataOptions(reader="folder", root=str(scenes_root)), reader.records("train")
    held = sum(sample.image.nbytes + sample.mask.nbytes for sample in map(reader.read, records))
    for free, processes, fits in ((2 * held, 1, True), (2 * held - 2, 1, False), (4 * held, 2, True), (2 * held, 2, 0)):
        monkeypatch.setattr("xseg.data.cache.free_memory", lambda free=free: free)
        assert isinstance(sample_source(options, reader, records, processes=processes), MemoryCache) == fits
    monkeypatch.undo()
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "spawn")
    assert sample_source(options, reader, records) is reader, "every worker would get a copy"
    assert isinstance(sample_source(replace(options, workers=0), reader, records), MemoryCache)


def test_data_sets_of_ones_own_are_read_anew_by_default_as_they_may_be_random():
    own = DatasetReader({"train": [(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))]}, ["a", "b"])
    assert sample_source(DataOptions(), own, own.records("train")) is own
    assert isinstance(sample_source(DataOptions(cache="memory"), own, own.records("train")), MemoryCache)


def test_the_folder_is_the_options_then_the_environments_then_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "shared"))
    assert cache_folder(DataOptions(cache_folder="here")).as_posix() == "here"
    assert cache_folder(DataOptions()) == tmp_path / "shared" / "data"
    monkeypatch.delenv("XSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder() == tmp_path / "user" / "xseg" / "data"
