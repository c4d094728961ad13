"""What is particular to single data sets: parts, domains, variants, and the files that lie beside the ones in use."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from replicas import (
    REPLICAS,
    write_ade20k,
    write_camvid32,
    write_cityscapes,
    write_cvat,
    write_huggingface,
    write_list_csv,
    write_loveda,
    write_pet,
    write_potsdam,
    write_voc,
)

from xseg.data.layout import FileOptions, LabelOptions, LayoutOptions, SplitOptions
from xseg.data.options import DataOptions
from xseg.data.readers.isprs import TEST_TILES
from xseg.data.readers.registry import create_reader
from xseg.errors import ConfigError, DataError, MissingExtraError
from xseg.types import SPLITS


def reader(options, **layout):
    return create_reader(DataOptions(**{**options, **({"layout": LayoutOptions(**layout)} if layout else {})}))


def names(reader, split):
    return [record.name for record in reader.records(split)]


def test_cityscapes_ignores_all_but_19_of_its_34_numbers(tmp_path):
    known = reader(write_cityscapes(tmp_path / "c")).labels
    assert len(known) == 19
    assert set(known.train_ids()) == {*range(34), 255}
    assert known.train_ids()[7] == known.names.index("road")


def test_cityscapes_names_records_by_city_and_tells_a_missing_label(tmp_path):
    options = write_cityscapes(tmp_path / "c")
    found = reader(options).records("val")
    assert found[0].name == "frankfurt/frankfurt_000000_000019"
    found[0].mask.unlink()
    with pytest.raises(DataError, match=r"1 of 4 images of the val split have no mask: .*frankfurt_000000_000019_left"):
        reader(options).records("val")


def test_a_test_part_whose_labels_are_kept_back_has_images_alone_or_is_another_part(tmp_path):
    options = write_ade20k(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "images" / "validation", tmp_path / "a" / "images" / "testing")
    assert {record.mask for record in reader(options).records("test")} == {None}
    sample = reader(options).read(reader(options).records("test")[0])
    assert sample.mask is None
    named = reader(options, splits=SplitOptions(test="validation"))
    assert named.records("test") == named.records("val")


def test_loveda_can_be_read_by_domain(tmp_path):
    options = write_loveda(tmp_path / "l")
    assert names(reader(options), "train") == ["Rural/0", "Rural/1", "Urban/2", "Urban/3"]
    assert names(reader(options, variant="urban"), "train") == ["2", "3"]
    assert names(reader(options, variant="rural"), "val") == ["4", "5"]


def test_the_isprs_test_tiles_are_the_benchmarks(tmp_path):
    assert {city: len(tiles) for city, tiles in TEST_TILES.items()} == {"potsdam": 14, "vaihingen": 17}
    options = write_potsdam(tmp_path / "p")
    found = reader(options)
    assert names(found, "train") == ["2_10", "7_12"]
    assert names(found, "val") == names(found, "test") == ["2_13", "7_13"]
    divided = reader(options, splits=SplitOptions(fractions=(0.5, 0.5, 0.0), test="test"))
    assert names(divided, "train") + names(divided, "val") in (["2_10", "7_12"], ["7_12", "2_10"])
    assert names(divided, "test") == ["2_13", "7_13"]
    next((tmp_path / "p" / "5_Labels_all").glob("*7_12*")).unlink()
    with pytest.raises(DataError, match=r"2 train tiles, 1 of them without a label \(7_12\)"):
        found.records("train")


def test_isprs_colours_that_are_slightly_off_are_read_within_a_tolerance(tmp_path):
    options = write_potsdam(tmp_path / "p")
    record = reader(options).records("train")[0]
    clean = reader(options).read(record).mask
    off = np.array(Image.open(record.mask))
    off[(off == (255, 255, 0)).all(axis=2)] = (252, 255, 0)
    Image.fromarray(off).save(record.mask)
    with pytest.raises(DataError, match=r"colour \(252, 255, 0\) .* car \(255, 255, 0\) is the nearest"):
        reader(options).read(record)
    tolerant = reader(options, labels=LabelOptions(tolerance=3))
    assert np.array_equal(tolerant.read(record).mask, clean)


def test_pets_validation_is_a_tenth_of_trainval_and_its_test_is_whole(tmp_path):
    found = reader(write_pet(tmp_path / "pet"))
    train, val, test = (names(found, split) for split in SPLITS)
    assert (len(train), len(val), len(test)) == (18, 2, 4)
    assert not {*train} & {*val}


def test_cvats_only_list_is_divided(tmp_path):
    options = write_cvat(tmp_path / "c")
    lists = tmp_path / "c" / "ImageSets" / "Segmentation"
    lines = "".join((lists / f"{split}.txt").read_text() for split in ("train", "val"))
    for split in ("train", "val"):
        (lists / f"{split}.txt").unlink()
    (lists / "default.txt").write_text(lines)
    with pytest.raises(ConfigError, match=r"only the list default.txt with all images; .*layout.splits.fractions"):
        reader(options)
    divided = reader(options, splits=SplitOptions(fractions=(0.5, 0.5, 0.0)))
    assert sorted(names(divided, "train") + names(divided, "val")) == [
        "frame_000000", "frame_000002", "frame_000003", "sub/frame 000001"
    ]  # fmt: skip


def test_voc_tells_a_name_without_a_mask(tmp_path):
    options = write_voc(tmp_path / "v")
    (tmp_path / "v" / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000027\n2007_000033\n")
    with pytest.raises(DataError, match=r"1 of 2 files listed in .*val.txt are missing: 2007_000027; .*SegmentationCl"):
        reader(options).records("val")


def test_camvids_frames_are_all_divided_if_the_user_wants(tmp_path):
    options = write_camvid32(tmp_path / "c")
    assert len(names(reader(options), "test")) == 2
    layout = {"splits": SplitOptions(fractions=(0.5, 0.25, 0.25), group="^([^_]+)_")}
    assert sum(len(names(reader(options, **layout), split)) for split in SPLITS) == 7


def test_a_list_without_splits_is_divided_or_refused(tmp_path):
    options = write_list_csv(tmp_path / "l")
    files = FileOptions(list="index.csv", image_column="file", mask_column="label", split_column="no")
    with pytest.raises(ConfigError, match=r"does not assign images to train, val and test; .*a column 'no' in a CSV"):
        reader(options, files=files)
    assert len(names(reader(options, files=files, splits=SplitOptions(fractions=(0.5, 0.5, 0.0))), "train")) == 2


def test_huggingface_reads_what_was_saved_to_disk(tmp_path):
    import datasets

    options = write_huggingface(tmp_path / "h")
    from_parquet = reader(options)
    data = datasets.DatasetDict(
        {part: datasets.Dataset.from_parquet(str(tmp_path / "h" / "data" / f"{part}-00000-of-00001.parquet"))
         for part in ("train", "validation")}
    )  # fmt: skip
    data.save_to_disk(str(tmp_path / "saved"))
    saved = reader({**options, "root": str(tmp_path / "saved")})
    for split in ("train", "val"):
        for a, b in zip(from_parquet.records(split), saved.records(split), strict=True):
            assert a == b
            assert np.array_equal(from_parquet.read(a).mask, saved.read(b).mask)
            assert np.array_equal(from_parquet.read(a).image, saved.read(b).image)


def test_what_is_wrong_with_a_huggingface_set_is_told(tmp_path, monkeypatch):
    options = write_huggingface(tmp_path / "h")
    with pytest.raises(DataError, match=r"has no column 'photo', only pixel_values, label"):
        reader(options, files=FileOptions(image_column="photo"), labels=options["layout"].labels).records("train")
    with pytest.raises(DataError, match=r"has no test\*.parquet"):
        reader(options).records("test")
    with pytest.raises(ConfigError, match="root is not set"):
        reader({**options, "root": ""})
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xseg\[hf\]'"):
        reader({**options, "root": str(tmp_path / "other")}).records("train")


@pytest.mark.parametrize(
    "name", ["ade20k", "camvid32", "cityscapes", "coco", "cvat", "labelme", "list", "loveda", "voc"]
)
def test_a_missing_root_is_told(name, tmp_path):
    options = REPLICAS[name](tmp_path / "x")
    for root, told in (("", "root is not set"), (str(tmp_path / "no"), "does not exist")):
        with pytest.raises(DataError, match=told):
            reader({**options, "root": root})
