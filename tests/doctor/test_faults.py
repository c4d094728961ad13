"""Every planted fault is found, by its own check and no other; a clean copy has nothing to tell."""

from __future__ import annotations

import shutil

import pytest
from faults import CROP, FAULTS, constant_masks, write_clean

from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.correction import write_corrected
from xseg.doctor.examination import examine, list_splits


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("clean") / "street")


@pytest.fixture
def copy(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "street")


def doctor(root, workers=0):
    options = DataOptions(reader="folder", root=str(root), crop=CROP)
    reader = create_reader(options)
    return examine(reader, options, list_splits(reader), workers=workers)


def snapshot(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_clean_data_set_has_nothing_to_tell(clean):
    assert doctor(clean).findings == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.check}:{fault.plant.__name__}")
def test_a_planted_fault_is_found_and_nothing_else(fault, copy):
    fault.plant(copy)
    before = snapshot(copy)
    examination = doctor(copy)
    assert {(finding.check, finding.severity) for finding in examination.findings} == {(fault.check, fault.severity)}
    for finding in examination.findings:
        assert finding.title
        assert finding.remedy
        assert finding.count >= len(finding.places)
        assert finding.fixable == fault.fixable
    assert snapshot(copy) == before


@pytest.mark.parametrize(
    "fault",
    [fault for fault in FAULTS if fault.fixable],
    ids=lambda fault: f"{fault.check}:{fault.plant.__name__}",
)
def test_a_corrected_copy_is_sound_and_the_original_untouched(fault, copy, tmp_path):
    fault.plant(copy)
    before = snapshot(copy)
    examination = doctor(copy)
    correction = write_corrected(
        examination.summary, examination.findings, root=copy, destination=tmp_path / "corrected"
    )
    assert snapshot(copy) == before
    assert correction.changed + correction.left_out > 0
    assert doctor(correction.root).findings == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corrected", "street"]


def test_masks_of_one_class_in_a_whole_split_are_an_error(copy):
    constant_masks(copy)
    found = {finding.check: finding for finding in doctor(copy).findings}
    assert found["constant-masks"].severity == "error"
    assert found["constant-masks"].title == "masks with a single class: 8 of 8"


def test_faults_are_told_with_file_value_count_and_place(copy):
    next(fault for fault in FAULTS if fault.check == "unknown-values").plant(copy)
    (finding,) = doctor(copy).findings
    assert finding.split == "train"
    assert finding.numbers == {"pixels": {"37": 16}}
    (place,) = finding.places
    assert place.path == str(copy / "train" / "masks" / "000001.png")
    assert place.detail == "value 37 in 16 pixels, the first at row 3, column 5"


def test_several_faults_are_told_together_the_errors_first(copy):
    for check in ("hidden-files", "unknown-values", "duplicates", "image-without-mask"):
        next(fault for fault in FAULTS if fault.check == check).plant(copy)
    severities = [finding.severity for finding in doctor(copy).findings]
    assert severities == ["error", "error", "warning", "note"]


def test_processes_find_what_one_process_finds(tmp_path):
    root = write_clean(tmp_path / "street")
    for index in range(70):
        for kind in ("images", "masks"):
            shutil.copy(root / "train" / kind / "000000.png", root / "train" / kind / f"more{index}.png")
    FAULTS[2].plant(root)
    alone, shared = doctor(root), doctor(root, workers=2)
    assert alone.findings == shared.findings
    assert alone.summary == shared.summary
