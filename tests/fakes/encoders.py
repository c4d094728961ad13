"""The masks of one data set, written in the other ways in which data sets have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xseg.data.pairs import FileReader
from xseg.data.sample import Record
from xseg.types import Split


def copy_image(record: Record, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(record.image, folder))


def write_colors(reader: FileReader, records: list[Record], root: Path, split: Split, void: Any = (0, 0, 0)) -> None:
    """An RGB mask per image, and label_colors.txt."""
    palette = np.tile(np.array(void, np.uint8), (256, 1))
    palette[: len(reader.labels)] = reader.labels.colors
    (root / split / "masks").mkdir(parents=True)
    for record in records:
        copy_image(record, root / split / "images")
        Image.fromarray(palette[reader.read(record).mask]).save(root / split / "masks" / f"{record.name}.png")
    colored = zip(reader.labels.names, reader.labels.colors, strict=True)
    lines = ["{} {} {}\t{}".format(*color, name) for name, color in colored]
    (root / "label_colors.txt").write_text("\n".join([*lines, "{} {} {}\tvoid".format(*void)]))


def write_class_files(reader: FileReader, records: list[Record], root: Path, split: Split) -> None:
    """A black-and-white mask per image and class that it has, and classes.txt."""
    (root / split / "masks").mkdir(parents=True)
    for record in records:
        copy_image(record, root / split / "images")
        mask = reader.read(record).mask
        for place, name in enumerate(reader.labels.names):
            if (mask == place).any():
                Image.fromarray(mask == place).save(root / split / "masks" / f"{record.name}_{name}.png")
    (root / "classes.txt").write_text("\n".join(reader.labels.names))


def write_polygons(reader: FileReader, records: list[Record], root: Path, split: Split) -> None:
    """COCO's JSON of instances: the outer outline of every connected piece of a class, without its holes."""
    from rasterio.features import shapes

    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": place + 1, "name": name} for place, name in enumerate(reader.labels.names)]
    for number, record in enumerate(records):
        image = copy_image(record, root / split)
        mask = reader.read(record).mask
        size = {"height": mask.shape[0], "width": mask.shape[1]}
        content["images"].append({"id": number, "file_name": image.name, **size})
        for outline, value in shapes(mask, connectivity=4):
            if value == reader.labels.ignore_index:
                continue
            polygon = [float(coordinate) for point in outline["coordinates"][0][:-1] for coordinate in point]
            annotation = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": int(value) + 1}
            content["annotations"].append({**annotation, "segmentation": [polygon], "iscrowd": 0})
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
