"""Every configuration of a data set reads the layout that it describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from replicas import REPLICAS, write_drive, write_folder_color, write_list

from xseg.api.train_options import parse_request
from xseg.data.readers.registry import create_reader

CONFIGS = Path(__file__).parents[3] / "configs" / "data"
FILES = sorted(CONFIGS.glob("*.yaml"))


def write_color_masks(root):
    """The configuration's files: no ending behind the names, and a class per colour."""
    write_folder_color(root)
    for folder, ending in (("images", "_img"), ("labels", "_mask")):
        for path in (root / folder).iterdir():
            path.rename(path.with_name(path.name.replace(ending, "")))


def write_table(root):
    write_list(root)
    lines = [
        f"{line.replace(' ', ',')},{split}"
        for split in ("train", "val")
        for line in (root / f"{split}.txt").read_text().splitlines()
    ]
    (root / "index.csv").write_text("\n".join(["image,mask,split", *lines]))


def write_task(root):
    REPLICAS["cvat"](root)
    lists = root / "ImageSets" / "Segmentation"
    lines = [line for path in sorted(lists.iterdir()) for line in path.read_text().splitlines()]
    for index in range(8):
        for folder in ("JPEGImages", "SegmentationClass"):
            picture = Image.open(next((root / folder).glob("frame_000002.*")))
            picture.save(root / folder / f"more_{index}{'.jpg' if folder == 'JPEGImages' else '.png'}")
    (lists / "default.txt").write_text("\n".join([*lines, *(f"more_{index}" for index in range(8))]))
    (lists / "train.txt").unlink()


OTHERS = {"drive": write_drive, "color_masks": write_color_masks, "list": write_table, "cvat": write_task}


def replica_of(file):
    """The function that writes what a configuration describes."""
    data = yaml.safe_load(file.read_text())["data"]
    variant = data.get("layout", {}).get("variant", "")
    special = {"coco_instances": "coco/export"}.get(file.stem)
    return OTHERS.get(file.stem) or REPLICAS[special or f"{data['reader']}/{variant}".rstrip("/")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_configuration_reads_what_it_describes(file, tmp_path):
    replica_of(file)(tmp_path / "data")
    request = parse_request(["--config", str(file), "--data.root", str(tmp_path / "data")])
    reader = create_reader(request.data)
    for split in ("train", "val"):
        records = reader.records(split)
        assert records
        sample = reader.read(records[0])
        assert set(np.unique(sample.mask)) <= {*range(len(reader.labels)), reader.labels.ignore_index}


def test_every_reader_of_files_has_a_configuration_or_shares_one():
    readers = {yaml.safe_load(file.read_text())["data"]["reader"] for file in FILES}
    assert {reader.partition("/")[0] for reader in REPLICAS} - readers == {"vaihingen"}, "which is as Potsdam"
