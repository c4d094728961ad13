"""Cache of decoded samples, in memory or on disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from xseg.data.folds import FoldReader
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.readers.scenes import ScenesReader
from xseg.data.sample import Array, Reader, Record, Sample
from xseg.errors import ConfigError
from xseg.files.atomic import atomic_path
from xseg.files.caches import user_cache
from xseg.files.memory import free_memory
from xseg.files.objects import code_stamp, is_class_path, is_held

FREE_SHARE = 0.5  # of the free memory, for the samples of a split
_MEASURED = 8  # samples from which the size of all is estimated
_NO_MASK = np.empty(0, np.uint8)
FORMAT = 2  # version of the cached files; a new number invalidates old files


class MemoryCache:
    """Samples decoded at construction and kept in memory, which forked workers share.

    Args:
        reader: reader of the data set.
        records: all records of the split.

    Raises:
        DataError: if a record cannot be read.
    """

    def __init__(self, reader: Reader, records: Sequence[Record]) -> None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            self._samples = dict(zip(records, threads.map(reader.read, records), strict=True))

    def read(self, record: Record) -> Sample:
        """Return a cached sample."""
        return self._samples[record]


class DiskCache:
    """Samples decoded once and kept in uncompressed files.

    A cached file is used only if it is complete and the original files have the same sizes and times; otherwise it is
    written again. Files are written completely or not at all, so that many processes can share a folder. If the disk is
    full, samples are decoded without cache.

    Args:
        reader: reader of the data set.
        folder: folder for the cached files.
        identity: settings that affect samples; caches with different identities share no files.
    """

    def __init__(self, reader: Reader, folder: Path, identity: str) -> None:
        self._reader = reader
        self.folder = folder / hashlib.sha256(f"{FORMAT}\n{identity}".encode()).hexdigest()[:16]

    def read(self, record: Record) -> Sample:
        """Return a sample, from its cached file if that is complete and up to date."""
        stamp = file_stamp(record)
        path = self.path(record)
        found = _load(path, stamp)
        if found is not None:
            return Sample(record.name, *found)
        sample = self._reader.read(record)
        _store(path, stamp, sample)
        return sample

    def path(self, record: Record) -> Path:
        """Return the path of a record's cached sample."""
        name = hashlib.sha256(os.fsencode(f"{record.image}\n{record.name}")).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.npz"


SampleSource: TypeAlias = Reader | MemoryCache | DiskCache


def cache_folder(options: DataOptions | None = None) -> Path:
    """Return the folder for samples and statistics: from the options, `XSEG_CACHE`, or the user's cache."""
    if options is not None and options.cache_folder:
        return Path(options.cache_folder)
    return user_cache("data")


def sample_source(
    options: DataOptions, reader: Reader, records: Sequence[Record], *, processes: int = 1
) -> SampleSource:
    """Return the source of samples that the options select.

    Args:
        options: data options.
        reader: reader of the data set.
        records: all records of the split.
        processes: number of processes of the training, each with a cache of its own.

    Raises:
        ConfigError: for a cache on disk, if the data set is an object in Python.
        DataError: for a cache in memory, if a record cannot be read.
    """
    if options.cache == "memory" or (options.cache == "auto" and _fits(options, reader, records, processes)):
        return MemoryCache(reader, records)
    if options.cache == "disk":
        if is_held(options.reader) and records and not records[0].image.is_file():
            got = "cache='disk' with a data set in Python, whose items may change without notice"
            raise ConfigError(got, expected="none or memory")
        return DiskCache(reader, cache_folder(options), reader_identity(options, reader))
    return reader


def _fits(options: DataOptions, reader: Reader, records: Sequence[Record], processes: int) -> bool:
    """Return whether samples that never change, estimated from some, take little of the memory, and only once."""
    whole = reader.reader if isinstance(reader, FoldReader) else reader
    copied = options.workers > 0 and multiprocessing.get_start_method() != "fork"
    if copied or not isinstance(whole, FileReader | ScenesReader):
        return False
    some = [reader.read(record) for record in records[:: -(-len(records) // _MEASURED)]]
    size = sum(sample.image.nbytes + (0 if sample.mask is None else sample.mask.nbytes) for sample in some) / len(some)
    return processes * size * len(records) <= FREE_SHARE * free_memory()


def reader_identity(options: DataOptions, reader: Reader) -> str:
    """Return the settings, besides the files, that affect the samples of a reader, as text."""
    layout: dict[str, Any] = {"reader": options.reader, "channels": options.channels, "layout": asdict(options.layout)}
    layout["layout"].pop("splits")  # which image is in which split does not change it
    if is_class_path(options.reader):
        layout["code"] = code_stamp(options.reader)
    return json.dumps({**layout, "labels": reader.labels.to_dict()}, sort_keys=True, default=str)


def file_stamp(record: Record) -> str:
    """Return sizes and times of a record's files as text, which differs if they change."""
    files = (record.image, record.mask, record.valid, *record.parts)
    return json.dumps([_size_and_time(file) for file in files])


def _size_and_time(path: Path | None) -> tuple[int, int] | None:
    with suppress(OSError):
        if path is not None:
            return (found := path.stat()).st_size, found.st_mtime_ns
    return None


def _store(path: Path, stamp: str, sample: Sample) -> None:
    mask = _NO_MASK if sample.mask is None else sample.mask
    # training does not need the cache, so a full or read-only disk must not stop it
    with suppress(OSError), atomic_path(path) as temporary:
        np.savez(temporary, stamp=np.frombuffer(stamp.encode(), np.uint8), image=sample.image, mask=mask)


def _load(path: Path, stamp: str) -> tuple[Array, Array | None] | None:
    """Return image and mask from a complete file with this stamp; None otherwise."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive["stamp"].tobytes() != stamp.encode():
                return None
            image, mask = archive["image"], archive["mask"]
            return image, mask if mask.size else None
    except Exception:  # a damaged archive raises almost any exception; the archive has checksums
        return None
