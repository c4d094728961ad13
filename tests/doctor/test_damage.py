"""Whatever is in the files, the doctor tells it and goes on."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from faults import CROP, load, store, write_clean
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xseg.data.layout import FileOptions, LayoutOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.examination import Examination, examine, list_splits

SUFFIXES = (".png", ".jpg", ".tif", ".gif", ".webp", ".bmp", ".npy")


def doctor(root, **layout) -> Examination:
    options = DataOptions(reader="folder", root=str(root), crop=CROP, layout=LayoutOptions(**layout))
    reader = create_reader(options)
    return examine(reader, options, list_splits(reader))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("damage") / "street")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(SUFFIXES),
    kind=st.sampled_from(["images", "masks"]),
    place=st.floats(0, 1),
    damage=st.binary(min_size=0, max_size=40),
    cut=st.booleans(),
)
def test_damage_anywhere_in_any_format_is_told_or_harmless(clean, tmp_path, suffix, kind, place, damage, cut):
    root = tmp_path / "damaged"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(clean, root)
    original = root / "train" / kind / "000001.png"
    path = original.with_suffix(suffix)
    if suffix == ".npy":
        np.save(path, load(original))
    elif suffix != ".png":
        store(load(original), path)
    if path != original:
        original.unlink()
    data = path.read_bytes()
    start = int(place * len(data))
    path.write_bytes(data[:start] + damage + (b"" if cut else data[start + len(damage) :]))
    examination = doctor(root)
    json.dumps(examination.to_dict())
    assert len(examination.summary.splits["train"].pairs) == 8


def test_names_that_are_no_utf_8_are_told_as_text(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "street")
    for kind in ("images", "masks"):
        source = root / "train" / kind / "000001.png"
        try:
            source.rename(source.with_name(os.fsdecode(b"bad\xff.png")))
        except OSError:
            pytest.skip("this file system takes no such names")
    (finding,) = doctor(root).findings
    assert finding.check == "non-ascii-names"
    assert finding.places[0].path.endswith("bad\\xff.png")
    json.dumps(finding.to_dict()).encode("utf-8")


def test_patterns_that_miss_upper_case_are_told(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "street")
    for kind in ("images", "masks"):
        (root / "train" / kind / "000001.png").rename(root / "train" / kind / "000001.PNG")
    files = FileOptions(images="{split}/images/*.png", masks="{split}/masks/*.png")
    (finding,) = doctor(root, files=files).findings
    assert (finding.check, finding.severity, finding.count) == ("suffix-case", "warning", 2)


def test_masks_in_the_images_folder_by_a_wrong_pattern_are_told(clean, tmp_path):
    files = FileOptions(images="{split}/images", masks="{split}/images")
    examination = doctor(clean, files=files)
    assert {finding.check for finding in examination.findings} == {"image-is-mask"}
