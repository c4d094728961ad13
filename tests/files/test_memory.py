from __future__ import annotations

import mmap
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

import xseg
from xseg.files import memory
from xseg.files.memory import forget_peak, free_memory, held_memory, peak_memory

MEBIBYTE = 2**20


def test_free_memory_is_that_of_the_machine_or_of_the_container_without_its_page_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert free_memory() == 1000
    (tmp_path / "memory.max").write_text("900\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert free_memory(torch.device("cpu")) == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == 1000


def allocate(mebibytes):
    """Return an array of ones over pages of its own, which no allocator had before or keeps after it."""
    held = np.frombuffer(mmap.mmap(-1, mebibytes * MEBIBYTE), np.uint8)
    held[:] = 1
    return held


def test_what_the_process_holds_grows_by_what_it_allocates():
    before = held_memory()
    held = allocate(100)
    assert 90 * MEBIBYTE < held_memory() - before < 150 * MEBIBYTE
    assert held.all()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system records no peak to forget")
def test_the_peak_outlives_the_memory_until_it_is_forgotten():
    held = allocate(200)
    high = held_memory()
    del held
    assert peak_memory() > high - MEBIBYTE * 8 > held_memory()  # the kernel counts in batches of pages
    forget_peak()
    assert peak_memory() < high - 100 * MEBIBYTE


@pytest.mark.parametrize(("usage", "expected"), [({"rss": 5, "peak_wset": 9}, 9), ({"rss": 5}, 5)])
def test_off_linux_the_peak_is_what_psutil_knows(monkeypatch, tmp_path, usage, expected):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "nothing")
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: SimpleNamespace(**usage))
    assert peak_memory(torch.device("cpu")) == expected


def test_no_module_needs_what_only_some_systems_have():
    for file in Path(xseg.__file__).parent.rglob("*.py"):
        unix_only = re.findall(
            r"^\s*(?:import|from) (resource|fcntl|pwd|grp|termios)\b", file.read_text(), re.MULTILINE
        )
        assert not unix_only, f"{file} imports {unix_only}, which Windows lacks"
