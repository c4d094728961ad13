"""The real CamVid, where it is at hand; and its masks written in the other ways in which masks are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoders import write_class_files, write_colors, write_polygons

from xseg.data.layout import FileOptions, LabelOptions, LayoutOptions, SplitOptions
from xseg.data.options import DataOptions
from xseg.data.readers.camvid import segnet_part
from xseg.data.readers.registry import create_reader
from xseg.doctor.quick_look import check_split
from xseg.types import SPLITS

ROOT = Path(__file__).parents[3] / "../shared/data/camvid"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="CamVid is not at ../shared/data/camvid")
LARGE = 0.01  # share of the labelled pixels


@pytest.fixture(scope="module")
def camvid():
    return create_reader(DataOptions(reader="camvid", root=str(ROOT)))


def test_camvid_is_whole_and_its_road_lies_below_its_sky(camvid):
    for split, count in (("train", 367), ("val", 101)):
        found = check_split(camvid, split)
        assert (found.images, found.sizes) == (count, {(360, 480): count})
        assert sorted(found.values) == list(range(12))
    sample = camvid.read(camvid.records("val")[0])
    heights = {
        name: np.argwhere(sample.mask == camvid.labels.names.index(name))[:, 0].mean() for name in ("sky", "road")
    }
    assert heights["sky"] < 180 < heights["road"]


def test_the_original_frames_are_divided_as_segnet_did(camvid):
    for split in ("train", "val"):
        assert {segnet_part(record.name) for record in camvid.records(split)} == {split}
    assert segnet_part("0001TP_008550") == segnet_part("Seq05VD_f00000") == "test"


@pytest.fixture(scope="module")
def frames(camvid):
    return [*camvid.records("val")[::25], *camvid.records("train")[::60]]


def rewritten(reader, root, **layout):
    return create_reader(DataOptions(reader=reader, root=str(root), layout=LayoutOptions(**layout)))


@pytest.mark.parametrize("encoding", ["color", "files"])
def test_every_encoding_gives_the_same_arrays(encoding, camvid, frames, tmp_path):
    write = {"color": write_colors, "files": write_class_files}[encoding]
    write(camvid, frames, tmp_path, "train")
    masks = {"color": "", "files": "{split}/masks/{name}_{class}.png"}[encoding]
    labels = LabelOptions(encoding=encoding, ignored_colors=((0, 0, 0),) if encoding == "color" else ())
    other = rewritten("folder", tmp_path, files=FileOptions(masks=masks), labels=labels)
    assert other.labels.names == camvid.labels.names
    by_name = {record.name: record for record in other.records("train")}
    for record in frames:
        assert np.array_equal(other.read(by_name[record.name]).mask, camvid.read(record).mask)


def test_polygons_cover_what_the_masks_do(camvid, frames, tmp_path):
    pytest.importorskip("rasterio")
    write_polygons(camvid, frames, tmp_path, "train")
    reader = rewritten(
        "coco",
        tmp_path,
        files=FileOptions(images="{split}", list="annotations/instances_{split}.json"),
        splits=SplitOptions(**dict.fromkeys(SPLITS, "train")),
        labels=LabelOptions(background=""),
    )
    both, either, pixels = (np.zeros(len(camvid.labels)) for _ in range(3))
    by_name = {record.name: record for record in reader.records("train")}
    for record in frames:
        ours, drawn = camvid.read(record).mask, reader.read(by_name[record.name]).mask
        labelled = ours != camvid.labels.ignore_index
        for place in range(len(camvid.labels)):
            a, b = ours == place, (drawn == place) & labelled
            both[place], either[place] = both[place] + (a & b).sum(), either[place] + (a | b).sum()
            pixels[place] += a.sum()
    large = pixels > LARGE * pixels.sum()
    assert large.sum() >= 5
    assert (both[large] / either[large]).min() > 0.99
