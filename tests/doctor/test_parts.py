"""The doctor's parts one by one: thumbnails, sizes of steps, places of copies, work in processes."""

from __future__ import annotations

import io
import operator
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from faults import write_clean
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xseg.data.generated.scenes import scene
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.checks import files, labels, masks, pairs
from xseg.doctor.correction import check_destination, require_correctable, write_corrected
from xseg.doctor.examination import examine, list_splits
from xseg.doctor.finding import Finding, Repair
from xseg.doctor.look import share_between, summarize_mask
from xseg.doctor.parallel import parallel_map
from xseg.doctor.summary import DataSummary, FileSummary, ImageSummary, MaskSummary, PairSummary, SplitSummary, Unknown
from xseg.doctor.table import run_checks
from xseg.doctor.thumbnail import SAME, CopyIndex, distance, thumbnail
from xseg.errors import ConfigError, DataError
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("ground", "house", "tree", "water"), ignored_raw_ids=(9,))


def summary_of(*found: MaskSummary, label_map: LabelMap = LABELS, split="train", crop=(1, 1)) -> DataSummary:
    pairs = tuple(
        PairSummary(
            str(index),
            image=ImageSummary(mask.size),
            mask_file=FileSummary(Path(f"{index}.png"), 1, bytes([index]), format="PNG", mode="L"),
            mask=mask,
        )
        for index, mask in enumerate(found)
    )
    return DataSummary(label_map, 3, crop, {split: SplitSummary(pairs)})


def counted(**values: int) -> MaskSummary:
    return MaskSummary((10, 10), "uint8", {int(value[1:]): count for value, count in values.items()})


def recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_copies_are_found_whatever_their_size_compression_and_brightness():
    index = CopyIndex()
    originals = [scene(number, 240, 320)[0] for number in range(20)]
    for original in originals:
        assert index.add(thumbnail(original)) == []
    for number, original in enumerate(originals):
        for copy in (
            recompressed(original, 70),
            cv2.resize(original, (200, 150), interpolation=cv2.INTER_AREA),
            cv2.resize(original, (480, 360), interpolation=cv2.INTER_CUBIC),
            (0.8 * original).astype(np.uint8),
        ):
            assert index.add(thumbnail(copy)) == [number]


def test_neighbouring_views_are_no_copies():
    wide = scene(5, 240, 360)[0]
    views = [thumbnail(np.ascontiguousarray(wide[:, shift : shift + 300])) for shift in range(0, 60, 8)]
    assert min(distance(one, other) for one in views for other in views if one != other) > 2 * SAME
    index = CopyIndex()
    assert [index.add(view) for view in views] == [[]] * len(views)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_kind_have_thumbnails_and_those_without_contrast_have_none(kind, channels):
    scale = 1 if kind == np.float32 else np.iinfo(kind).max
    image = (np.random.default_rng(0).random((50, 60, channels)) * scale).astype(kind)
    image[:25] //= 4 if kind != np.float32 else 1
    image[:25] = image[:25] * kind(0.25) if kind == np.float32 else image[:25]
    assert len(thumbnail(image)) == 1024
    assert thumbnail(np.full_like(image, scale // 2)) == b""


def test_the_work_for_a_copy_does_not_grow_with_the_number_of_images(monkeypatch):
    compared = []
    import xseg.doctor.thumbnail as module

    monkeypatch.setattr(module, "distance", lambda *_: compared.append(1) or 1.0)
    index, same = CopyIndex(), thumbnail(scene(0, 64, 96)[0])
    for _ in range(300):
        index.add(same)
    assert len(compared) <= 300 * 4 * 48
    before = len(compared)
    index.add(same)
    assert len(compared) - before <= 4 * 48


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=8, max_size=8), min_size=8, max_size=8),
    st.sets(st.integers(0, 5)),
)
def test_mask_summaries_count_every_pixel_once(rows, known):
    mask = np.array(rows, np.uint8)
    found = summarize_mask(mask, known)
    assert sum(found.values.values()) + found.unknown_pixels == 64
    assert set(found.values) == set(np.unique(mask).tolist()) & known
    for entry in found.unknown:
        assert (mask == entry.value).sum() == entry.pixels
        assert mask[entry.row, entry.column] == entry.value
        assert not (mask.ravel()[: entry.row * 8 + entry.column] == entry.value).any()


def test_interpolation_is_told_from_thin_things():
    mask = np.zeros((90, 90), np.uint8)
    for column in range(5, 85, 10):
        mask[:, column : column + 5] = 8
    blurred = cv2.resize(cv2.resize(mask, (45, 45), interpolation=cv2.INTER_AREA), (90, 90))
    assert share_between(mask) == 0
    assert share_between(blurred) > 0.3
    assert share_between(np.kron(np.eye(2, dtype=np.uint8) * 9, np.ones((5, 5), np.uint8))) == 0, "too few borders"


@pytest.mark.parametrize(
    ("numbers", "label_map", "expected"),
    [
        ((0, 255), LabelMap(("a", "b")), "binary-0-255"),
        ((0, 255), LabelMap(("a", "b"), raw_ids=(0, 255), ignore_index=254), None),
        ((0, 255), LabelMap(("a", "b"), ignored_raw_ids=(0,), raw_ids=(1, 2)), None),
        ((0, 255), LabelMap(("a", "b", "c")), None),
        ((0, 85, 170, 255), LabelMap(tuple("abcd"), ignore_index=200), "stretched-values"),
        ((0, 7, 50), LabelMap(tuple("abcd")), "unknown-values"),
        ((1, 2, 3, 4), LabelMap(tuple("abcd")), "numbers-from-one"),
        ((1, 2, 3, 4, 255), LabelMap(tuple("abcd")), "numbers-from-one"),
        ((0, 1, 2, 3, 4), LabelMap(tuple("abcd")), "class-count"),
        ((0, 1, 2, 3, 4, 6), LabelMap(tuple("abcd")), "unknown-values"),
        ((0, 1, 2, 3, 255), LabelMap(tuple("abcd")), None),
    ],
)
def test_numbers_are_explained_by_what_they_probably_are(numbers, label_map, expected):
    known = set(label_map.train_ids())
    mask = MaskSummary(
        (10, 10),
        "uint8",
        {number: 10 for number in numbers if number in known},
        tuple(Unknown(number, 10, 0, 0) for number in numbers if number not in known),
        sum(number not in known for number in numbers),
        10 * sum(number not in known for number in numbers),
    )
    found = [finding.check for finding in masks.values(summary_of(mask, label_map=label_map))]
    assert found == ([] if expected is None else [expected])


def test_rare_classes_come_with_weights_that_balance_them():
    (finding,) = labels.imbalance(summary_of(counted(_0=900_000, _1=90_000, _2=9_000, _3=100)))
    assert finding.title == "classes with very few training pixels: water 0.01 %"
    weights = finding.numbers["weights"]
    assert weights["water"] > weights["tree"] > 1 > weights["ground"]
    assert weights["water"] == round((49_500 / 100) ** 0.5, 2)
    assert list(labels.imbalance(summary_of(counted(_0=9000, _1=900, _2=90, _3=9)))) == []


def test_classes_of_one_split_are_told_about_that_split():
    (finding,) = labels.absent(summary_of(counted(_0=5, _1=5, _2=5), split="val"))
    assert (finding.check, finding.severity, finding.split) == ("class-absent-in-split", "note", "val")


def test_ignored_pixels_are_no_class():
    assert summary_of(counted(_0=3, _9=5, _255=7)).class_pixels("train") == [3, 0, 0, 0]
    assert [f.check for f in labels.ignore_share(summary_of(counted(_0=3, _9=5, _255=7)))] == ["ignored-pixels"]


@pytest.mark.parametrize(("split", "told"), [("train", ["image-without-mask"]), ("test", [])])
def test_a_layout_may_keep_its_test_labels_back_but_not_those_of_training(split, told):
    image = FileSummary(Path("a.png"), 1, b"a", format="PNG", mode="RGB")
    pair = PairSummary("a", image, ImageSummary((4, 4)), unlabelled=True)
    summary = DataSummary(LABELS, 3, (1, 1), {split: SplitSummary((pair,))})
    assert [finding.check for finding in files.unpaired(summary)] == told


def test_findings_are_sorted_by_severity_and_keep_their_order():
    findings = [
        Finding(str(i), severity, None, "", "") for i, severity in enumerate(("note", "error", "note", "error"))
    ]
    assert [finding.check for finding in run_checks(None, [lambda _: findings])] == ["1", "3", "0", "2"]


@pytest.mark.parametrize(("where", "message"), [(".", "outside"), ("sub", "outside"), ("..", "outside")])
def test_a_copy_never_lies_in_its_original(tmp_path, where, message):
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(ConfigError, match=message):
        check_destination(root / where, root)


def test_a_copy_needs_a_free_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "there").mkdir()
    assert check_destination(tmp_path / "there", tmp_path / "data") == tmp_path / "there"
    (tmp_path / "there" / "file").touch()
    with pytest.raises(ConfigError, match="exists and is not empty"):
        check_destination(tmp_path / "there", tmp_path / "data")


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    root = write_clean(tmp_path / "street")
    options = DataOptions(reader="folder", root=str(root))
    reader = create_reader(options)
    examination = examine(reader, options, list_splits(reader))
    impossible = Finding("x", "error", "train", "", "", repairs=(Repair(root / "train/images/000001.png", "colors"),))
    with pytest.raises(DataError, match="colours that belong to no class"):
        write_corrected(examination.summary, [impossible], root=root, destination=tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["street"]


def test_generated_data_cannot_be_corrected():
    with pytest.raises(ConfigError, match="a corrected copy of this layout"):
        require_correctable(create_reader(DataOptions(reader="scenes")))


def test_processes_keep_the_order():
    assert list(parallel_map(operator.neg, range(200), workers=2)) == [-number for number in range(200)]


def test_a_killed_process_is_one_line():
    with pytest.raises(DataError, match="a worker process was killed"):
        list(parallel_map(os._exit, [9] * 100, workers=1))  # as a decoder that crashes


def test_a_turned_image_whose_label_is_no_mask_file_is_reported_without_a_repair():
    turned = FileSummary(Path("a.jpg"), 1, b"a", format="JPEG", mode="RGB", stored=(10, 20), orientation=6)
    pair = PairSummary("a", turned, ImageSummary((20, 10)), mask=MaskSummary((10, 20), "uint8", {0: 200}))
    (finding,) = pairs.sizes(DataSummary(LABELS, 3, (1, 1), {"train": SplitSummary((pair,))}))
    assert (finding.check, finding.fixable) == ("exif-disagreement", False)
