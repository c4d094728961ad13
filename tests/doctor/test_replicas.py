"""No false alarm: nothing is wrong with a sound copy of any layout, nor with the real CamVid."""

from __future__ import annotations

from pathlib import Path

import pytest
from replicas import REPLICAS

from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.examination import examine, list_splits

CAMVID = Path(__file__).parents[2] / "../shared/data/camvid"


def examined(workers=0, **values):
    options = DataOptions(**values)
    reader = create_reader(options)
    return examine(reader, options, list_splits(reader), workers=workers)


@pytest.mark.parametrize("name", REPLICAS)
def test_a_sound_copy_of_a_layout_gives_no_alarm(name, tmp_path):
    examination = examined(**{**REPLICAS[name](tmp_path / "data"), "crop": (16, 16)})
    told = [finding for finding in examination.findings if finding.severity != "note"]
    assert told == []
    assert {finding.check for finding in examination.findings} <= {"split-unlisted", "shared-split"}
    assert all(len(examination.summary.splits[split].pairs) >= 2 for split in ("train", "val"))
    assert sum(examination.summary.class_pixels("train")) > 0


@pytest.mark.slow
@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not at ../shared/data/camvid")
def test_the_real_camvid_gives_no_alarm_though_its_frames_follow_each_other():
    examination = examined(workers=2, reader="camvid", root=str(CAMVID))
    assert examination.findings == ()
    assert {split: len(found.pairs) for split, found in examination.summary.splits.items()} == {
        "train": 367,
        "val": 101,
        "test": 0,
    }
