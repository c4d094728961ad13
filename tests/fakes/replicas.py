"""Small data sets in the layouts, names and encodings of the real ones, and the train ids that each mask stands for.

`REPLICAS[name](root)` writes a clean copy with at least two images per part and returns the options that read it. What
the masks mean is written beside root, where no reader looks; `truth` finds it.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xseg.data.generated.scenes import write_scenes
from xseg.data.layout import FileOptions, LabelOptions, LayoutOptions, SceneOptions, SplitOptions
from xseg.labels.known import (
    ADE20K,
    CAMVID,
    CAMVID32,
    CITYSCAPES,
    COCO_STUFF,
    COCO_STUFF_ONLY,
    ISPRS,
    LOVEDA,
    PET,
    PET_WITH_BORDER,
    VOC,
)
from xseg.labels.label_map import LabelMap

Options = dict[str, Any]
SIZE = (60, 84)
IGNORE = 255


def truth(root: Path, split: str, name: str) -> np.ndarray:
    """The train ids (H, W) of a replica's record."""
    return np.load(_truth_file(root, split, name))


def _truth_file(root: Path, split: str, name: str) -> Path:
    return root.parent / f"{root.name}_truth" / split / f"{name.replace('/', '__')}.npy"


def options(reader: str, root: Path, *, channels: int = 3, **layout: Any) -> Options:
    """The options of a small training on a replica."""
    return {
        "reader": reader,
        "root": str(root),
        "channels": channels,
        "batch_size": 2,
        "workers": 0,
        "crop": (32, 32),
        "layout": LayoutOptions(**layout),
    }


class Writer:
    """Draws scenes of all classes of a label map, and keeps what they mean."""

    def __init__(self, root: Path, labels: LabelMap, seed: int, size: tuple[int, int] = SIZE) -> None:
        self.root, self.labels, self.size = root, labels, size
        self.rng = np.random.default_rng(seed)

    def scene(self, split: str, name: str, ignored: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """An image (H, W, 3) and its train ids (H, W) of a grid of all classes in a random order."""
        classes = len(self.labels)
        columns = int(np.ceil(np.sqrt(classes * 1.4)))
        rows = int(np.ceil(classes / columns)) + 1
        cells = np.concatenate([self.rng.permutation(classes), self.rng.integers(0, classes, rows * columns - classes)])
        grid = cells.reshape(rows, columns)
        height, width = self.size
        ids = grid[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
        colors = np.array(self.labels.colors, np.float64)[ids]
        image = np.clip(colors * 0.7 + 40 + self.rng.normal(0, 12, (*self.size, 3)), 0, 255).astype(np.uint8)
        ids = ids.astype(np.uint8)
        if ignored:
            ids[:2] = IGNORE
            ids[:, -1] = IGNORE
        self.keep(split, name, ids)
        return image, ids

    def keep(self, split: str, name: str, ids: np.ndarray) -> None:
        path = _truth_file(self.root, split, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, ids)

    def raw(self, ids: np.ndarray, ignored: int | None = None) -> np.ndarray:
        """Train ids as the numbers that the files hold; an ignored pixel is `ignored` or the ignore index."""
        table = np.full(256, IGNORE if ignored is None else ignored, np.uint16)
        table[: len(self.labels)] = self.labels.raw_ids
        raw = table[ids]
        return raw.astype(np.uint8) if raw.max() < 256 else raw

    def colors(self, ids: np.ndarray, ignored: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
        """Train ids as colours (H, W, 3)."""
        table = np.tile(np.array(ignored, np.uint8), (256, 1))
        table[: len(self.labels)] = self.labels.colors
        return table[ids]


def save(array: np.ndarray, path: Path, palette: bytes | None = None, **parameters: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path, **parameters)
    return path


def text(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_scenes_replica(root: Path) -> Options:
    root.mkdir(parents=True)
    return options("scenes", root, scenes=SceneOptions(size=(48, 64), counts=(3, 2, 2), seed=3))


def write_folder(root: Path) -> Options:
    write_scenes(root, counts=(3, 2, 2), size=(48, 64), seed=3)
    return options("folder", root)


def write_folder_color(root: Path) -> Options:
    """One folder, RGB masks beside a label_colors.txt, names with an ending, divided by the patient."""
    labels = LabelMap(("tissue", "vessel", "tool"), ((10, 20, 30), (200, 0, 0), (0, 200, 90)))
    writer = Writer(root, labels, 11)
    for patient in range(8):
        for part in "ab":
            name = f"p{patient:02d}_{part}"
            image, ids = writer.scene("all", name)
            save(image, root / "images" / f"{name}_img.jpg", quality=92)
            save(writer.colors(ids, (255, 255, 255)), root / "labels" / f"{name}_mask.png")
    colors = [" ".join(map(str, color)) for color in labels.colors]
    rows = [f"{color}\t{name}" for color, name in zip(colors, labels.names, strict=True)]
    text(root / "label_colors.txt", [*rows, "255 255 255\tunlabelled"])
    return options(
        "folder",
        root,
        files=FileOptions(images="images/{name}_img.jpg", masks="labels/{name}_mask.png"),
        splits=SplitOptions(fractions=(0.5, 0.25, 0.25), group="^(p[0-9]+)_"),
        labels=LabelOptions(encoding="color", ignored_colors=((255, 255, 255),)),
    )


def write_folder_binary(root: Path) -> Options:
    """Masks of 0 and 255 in GIF, as retinal sets have them."""
    writer = Writer(root, LabelMap(("background", "foreground")), 12)
    for split in ("train", "val"):
        for index in range(2):
            image, ids = writer.scene(split, f"{index:02d}", ignored=False)
            save(image, root / split / "images" / f"{index:02d}.tif")
            save(ids * 255, root / split / "masks" / f"{index:02d}.gif")
    return options("folder", root, labels=LabelOptions(encoding="binary"))


def write_folder_files(root: Path) -> Options:
    """A black-and-white file per class; a class that an image lacks has none."""
    labels = LabelMap(("background", "nucleus", "membrane"))
    writer = Writer(root, labels, 13)
    for split in ("train", "val"):
        for index in range(3):
            image, ids = writer.scene(split, f"{index}", ignored=False)
            if index == 2:
                ids[ids == 2] = 0
                writer.keep(split, f"{index}", ids)
            save(image, root / split / "images" / f"{index}.png")
            for place, name in enumerate(labels.names):
                if place and (ids == place).any():
                    save((ids == place).astype(np.uint8) * 255, root / split / "masks" / f"{index}_{name}.png", bits=1)
    text(root / "classes.txt", labels.names)
    return options(
        "folder",
        root,
        files=FileOptions(masks="{split}/masks/{name}_{class}.png"),
        labels=LabelOptions(encoding="files"),
    )


def write_drive(root: Path) -> Options:
    """The DRIVE download: vessels in GIF, and a field of view in GIF outside which nothing counts."""
    writer = Writer(root, LabelMap(("background", "vessel")), 21)
    view = np.hypot(*np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]) < 0.95
    for split, numbers in (("training", range(21, 29)), ("test", range(1, 4))):
        for number in numbers:
            name = f"{number:02d}"
            image, ids = writer.scene("all", name, ignored=False)
            save(image * view[..., None].astype(np.uint8), root / split / "images" / f"{name}_{split}.tif")
            save(ids * 255, root / split / "1st_manual" / f"{name}_manual1.gif")
            save(view.astype(np.uint8) * 255, root / split / "mask" / f"{name}_{split}_mask.gif")
            writer.keep("all", name, np.where(view, ids, IGNORE).astype(np.uint8))
    return options(
        "folder",
        root,
        files=FileOptions(
            images="{split}/images/{name}_{split}.tif",
            masks="{split}/1st_manual/{name}_manual1.gif",
            valid="{split}/mask/{name}_{split}_mask.gif",
        ),
        splits=SplitOptions(train="training", test="test", fractions=(0.7, 0.3, 0.0)),
        labels=LabelOptions(classes=("background", "vessel"), encoding="binary"),
    )


def write_folder_beside(root: Path) -> Options:
    """Image, mask and valid region beside each other in one folder, told apart by their endings."""
    labels = LabelMap(("field", "road", "water"))
    writer = Writer(root, labels, 22)
    for index in range(8):
        image, ids = writer.scene("all", f"{index}")
        save(image, root / f"{index}.png")
        save(np.where(ids == IGNORE, 0, ids).astype(np.uint8), root / f"{index}_mask.png")
        save((ids != IGNORE).astype(np.uint8), root / f"{index}_valid.png")
    text(root / "classes.txt", labels.names)
    files = FileOptions(images="{name}.png", masks="{name}_mask.png", valid="{name}_valid.png")
    return options("folder", root, files=files, splits=SplitOptions(fractions=(0.5, 0.25, 0.25)))


def write_list(root: Path) -> Options:
    labels = LabelMap(("field", "road", "water"))
    writer = Writer(root, labels, 14)
    for split in ("train", "val"):
        lines = []
        for index in range(2):
            image, ids = writer.scene(split, f"rgb/{split}_{index}")
            save(image, root / "rgb" / f"{split}_{index}.jpg")
            save(ids, root / "gt" / f"{split}_{index}_gt.png")
            lines.append(f"rgb/{split}_{index}.jpg gt/{split}_{index}_gt.png")
        text(root / f"{split}.txt", lines)
    text(root / "classes.txt", labels.names)
    return options("list", root)


def write_list_csv(root: Path) -> Options:
    labels = LabelMap(("field", "road", "water"))
    writer = Writer(root, labels, 15)
    rows = []
    for split in ("train", "valid"):
        for index in range(2):
            image, ids = writer.scene(split, f"my images/{split} {index}")
            save(image, root / "my images" / f"{split} {index}.jpg")
            save(ids, root / "gt" / f"{split}_{index}.png")
            rows.append({"file": f"my images/{split} {index}.jpg", "label": f"gt/{split}_{index}.png", "set": split})
    with (root / "index.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["file", "label", "set"])
        table.writeheader()
        table.writerows(rows)
    text(root / "classes.txt", labels.names)
    files = FileOptions(list="index.csv", image_column="file", mask_column="label", split_column="set")
    return options("list", root, files=files, splits=SplitOptions(val="valid", test="valid"))


def write_list_valid(root: Path) -> Options:
    """A table whose third column names the valid region, where the image has one."""
    found = write_list_csv(root)
    lines = (root / "index.csv").read_text().splitlines()
    rows = [lines[0] + ",nodata"]
    for line in lines[1:]:
        _, mask, split = line.split(",")
        path = root / mask.replace("gt/", "nodata/")
        ids = np.asarray(Image.open(root / mask))
        region = np.tile(np.arange(SIZE[1]) % 7 > 1, (SIZE[0], 1))
        if split == "train":
            save(region.astype(np.uint8) * 200, path)
            stem = Path(line.split(",")[0]).with_suffix("").as_posix()
            np.save(_truth_file(root, split, stem), np.where(region, ids, IGNORE).astype(np.uint8))
        rows.append(f"{line},{path.relative_to(root) if split == 'train' else ''}")
    text(root / "index.csv", rows)
    files = replace(found["layout"].files, valid_column="nodata")
    return {**found, "layout": replace(found["layout"], files=files)}


VOC_NAMES = {"train": ("2007_000032", "2007_000039"), "val": ("2007_000033", "2007_000042")}


def write_voc(root: Path) -> Options:
    writer = Writer(root, VOC, 1)
    for split, names in VOC_NAMES.items():
        for name in names:
            image, ids = writer.scene(split, name)
            save(image, root / "JPEGImages" / f"{name}.jpg")
            palette = bytearray(VOC.palette())
            palette[-3:] = (224, 224, 192)  # the border's colour in the devkit's palette
            save(writer.raw(ids), root / "SegmentationClass" / f"{name}.png", bytes(palette))
            save(writer.raw(ids), root / "SegmentationObject" / f"{name}.png", bytes(palette))
        text(root / "ImageSets" / "Segmentation" / f"{split}.txt", names)
    text(root / "ImageSets" / "Segmentation" / "trainval.txt", [*VOC_NAMES["train"], *VOC_NAMES["val"]])
    save(image, root / "JPEGImages" / "2007_000027.jpg")  # one for detection, without a mask
    return options("voc", root)


def write_voc_aug(root: Path) -> Options:
    """DeepLab's copy of the SBD masks as grey PNGs, and its lists of file names."""
    found = write_voc(root)
    for path in (root / "SegmentationClass").glob("*.png"):
        save(np.asarray(Image.open(path)), root / "SegmentationClassAug" / path.name)
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png" for name in VOC_NAMES["train"]]
    text(root / "ImageSets" / "Segmentation" / "trainaug.txt", lines)
    return {**found, "layout": LayoutOptions(variant="aug")}


def write_voc_sbd(root: Path) -> Options:
    from scipy.io import savemat

    writer = Writer(root, VOC, 2)
    (root / "cls").mkdir(parents=True)
    for split, names in {"train": ("2008_000002", "2008_000003"), "val": ("2008_000008", "2008_000009")}.items():
        for name in names:
            image, ids = writer.scene(split, name, ignored=False)
            save(image, root / "img" / f"{name}.jpg")
            savemat(
                root / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": ids, "CategoriesPresent": np.arange(1, 21)}}
            )
        text(root / f"{split}.txt", names)
    return options("voc", root, variant="sbd")


def write_cityscapes(root: Path) -> Options:
    return _cityscapes(root, "gtFine", "fine")


def write_cityscapes_coarse(root: Path) -> Options:
    return _cityscapes(root, "gtCoarse", "coarse")


def _cityscapes(root: Path, folder: str, variant: str) -> Options:
    writer = Writer(root, CITYSCAPES, 3)
    cities = {"train": ("aachen", "zurich"), "val": ("frankfurt", "lindau")}
    for split, names in cities.items():
        for city in names:
            for frame in (19, 20):
                name = f"{city}_000000_{frame:06d}"
                image, ids = writer.scene(split, f"{city}/{name}")
                save(image, root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png")
                numbers = writer.raw(ids, ignored=1)  # the ego vehicle
                numbers[:, -1] = 3  # out of the region of interest
                place = root / folder / split / city
                save(numbers, place / f"{name}_{folder}_labelIds.png")
                save(numbers.astype(np.uint16) * 1000, place / f"{name}_{folder}_instanceIds.png")
                save(writer.colors(ids), place / f"{name}_{folder}_color.png")
                text(place / f"{name}_{folder}_polygons.json", ['{"imgHeight": 60, "imgWidth": 84, "objects": []}'])
    return options("cityscapes", root, variant=variant)


def write_cityscapes_train_ids(root: Path) -> Options:
    found = write_cityscapes(root)
    for path in root.glob("gtFine/*/*/*_labelIds.png"):
        split, city = path.parts[-3], path.parts[-2]
        name = path.name.removesuffix("_gtFine_labelIds.png")
        save(truth(root, split, f"{city}/{name}"), path.with_name(f"{name}_gtFine_labelTrainIds.png"))
    return {**found, "layout": LayoutOptions(variant="train_ids")}


def write_ade20k(root: Path) -> Options:
    writer = Writer(root, ADE20K, 4)
    for split, folder, prefix in (("train", "training", "ADE_train"), ("val", "validation", "ADE_val")):
        for number in (1, 2):
            name = f"{prefix}_{number:08d}"
            image, ids = writer.scene(split, name)
            save(image, root / "images" / folder / f"{name}.jpg")
            save(writer.raw(ids, ignored=0), root / "annotations" / folder / f"{name}.png")
    names = [f"{number}\t0.1\t100\t10\t1\t{name}" for number, name in enumerate(ADE20K.names, start=1)]
    text(root / "objectInfo150.txt", ["Idx\tRatio\tTrain\tVal\tStuff\tName", *names])
    text(root / "sceneCategories.txt", ["ADE_train_00000001 airport_terminal", "ADE_val_00000001 abbey"])
    return options("ade20k", root)


def write_camvid(root: Path) -> Options:
    writer = Writer(root, CAMVID, 5)
    names = {
        "train": ("0001TP_006690", "0006R0_f00930"),
        "val": ("0016E5_07959", "0016E5_07961"),
        "test": ("Seq05VD_f00000",),
    }
    for split, frames in names.items():
        for name in frames:
            image, ids = writer.scene(split, name)
            save(image, root / split / f"{name}.png")
            save(writer.raw(ids, ignored=11), root / f"{split}annot" / f"{name}.png")
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in frames]
        text(root / f"{split}.txt", lines)
    return options("camvid", root)


CAMVID_FRAMES = {
    "train": ("0001TP_006690", "0006R0_f00930", "0016E5_00390"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "Seq05VD_f00000"),
}


def write_camvid32(root: Path) -> Options:
    writer = Writer(root, CAMVID32, 6)
    for split, frames in CAMVID_FRAMES.items():
        for name in frames:
            image, ids = writer.scene(split, name)
            save(image, root / "701_StillsRaw_full" / f"{name}.png")
            save(writer.colors(ids), root / "LabeledApproved_full" / f"{name}_L.png")
    _label_colors(root / "label_colors.txt")
    return options("camvid32", root)


def write_camvid32_folders(root: Path) -> Options:
    writer = Writer(root, CAMVID32, 7)
    for split, frames in CAMVID_FRAMES.items():
        for name in frames:
            image, ids = writer.scene(split, name)
            save(image, root / split / f"{name}.png")
            save(writer.colors(ids), root / f"{split}_labels" / f"{name}_L.png")
    rows = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(CAMVID32.names, CAMVID32.colors, strict=True)]
    text(root / "class_dict.csv", ["name,r,g,b", *rows, "Void,0,0,0"])
    return options("camvid32", root, variant="folders")


def _label_colors(path: Path) -> None:
    rows = [f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in zip(CAMVID32.names, CAMVID32.colors, strict=True)]
    text(path, [*rows, "0 0 0\t\tVoid"])


COCO_PARTS = (("train", "train2017"), ("val", "val2017"))
THINGS = LabelMap(("background", "person", "car", "dog"), ((90, 90, 90), (220, 20, 60), (0, 0, 142), (119, 11, 32)))
THING_IDS = (1, 3, 18)


def write_coco(root: Path) -> Options:
    """Rectangles as polygons, run lengths as lists and as text, and a hole that another object fills."""
    from pycocotools import mask as rle

    writer = Writer(root, THINGS, 8)
    for split, part in COCO_PARTS:
        content = _coco_head(zip(THING_IDS, THINGS.names[1:], strict=True))
        for number in (9, 25):
            name = f"{number + 100 * (split == 'val'):012d}"
            ids = np.zeros(SIZE, np.uint8)
            ids[5:50, 4:40], ids[10:30, 8:20], ids[20:55, 50:80] = 2, 1, 3
            ids[40:44, 0:84] = 1
            image = np.clip(np.array(THINGS.colors)[ids] * 0.7 + writer.rng.normal(40, 12, (*SIZE, 3)), 0, 255)
            save(image.astype(np.uint8), root / part / f"{name}.jpg")
            content["images"].append({"id": number, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
            band = np.asfortranarray(ids * 0)
            band[40:44] = 1
            dog = np.asfortranarray(ids * 0)
            dog[20:55, 50:80] = 1
            shapes = [
                (1, [_rectangle(10, 8, 30, 20)]),  # smaller than what it lies on, and before it
                (3, [_rectangle(5, 4, 50, 20), _rectangle(5, 20, 50, 40)]),
                (18, rle.encode(dog) | {"counts": rle.encode(dog)["counts"].decode()}),
                (1, {"size": [*SIZE], "counts": _run_lengths(band)}),
            ]
            for category, segmentation in shapes:
                annotation = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": category}
                crowd = int(isinstance(segmentation, dict))
                content["annotations"].append({**annotation, "segmentation": segmentation, "iscrowd": crowd, "area": 1})
            writer.keep(split, name, ids)
        text(root / "annotations" / f"instances_{part}.json", [json.dumps(content)])
    return options("coco", root)


def _coco_head(categories: Any) -> dict[str, Any]:
    listed = [{"id": number, "name": name, "supercategory": "thing"} for number, name in categories]
    return {"info": {"year": 2017}, "licenses": [], "images": [], "annotations": [], "categories": listed[::-1]}


def _rectangle(top: int, left: int, bottom: int, right: int) -> list[float]:
    return [float(value) for value in (left, top, right, top, right, bottom, left, bottom)]


def _run_lengths(mask: np.ndarray) -> list[int]:
    """Run lengths column by column, zeros first, as COCO's crowds have them."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


PANOPTIC = LabelMap(
    ("person", "car", "sky-other-merged", "rug-merged"), ((220, 20, 60), (0, 0, 142), (70, 130, 180), (1, 99, 7))
)
PANOPTIC_IDS = (1, 3, 187, 200)


def write_coco_panoptic(root: Path) -> Options:
    writer = Writer(root, PANOPTIC, 9)
    for split, part in COCO_PARTS:
        content = _coco_head(zip(PANOPTIC_IDS, PANOPTIC.names, strict=True))
        for category in content["categories"]:
            category |= {
                "isthing": int(category["id"] < 91),
                "color": PANOPTIC.colors[PANOPTIC_IDS.index(category["id"])],
            }
        for number in (139, 285):
            name = f"{number + (split == 'val'):012d}"
            image, ids = writer.scene(split, name)
            save(image, root / part / f"{name}.jpg")
            segments = {place: int(writer.rng.integers(1, 2**24 - 8)) + place for place in range(len(PANOPTIC))}
            found = np.zeros(SIZE, np.uint32)
            for place, segment in segments.items():
                found[ids == place] = segment
            png = np.stack([found & 255, found >> 8 & 255, found >> 16], axis=-1).astype(np.uint8)
            save(png, root / "annotations" / f"panoptic_{part}" / f"{name}.png")
            content["images"].append({"id": number, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
            info = [
                {"id": segment, "category_id": PANOPTIC_IDS[place], "iscrowd": 0, "area": int((ids == place).sum())}
                for place, segment in segments.items()
            ]
            content["annotations"].append({"image_id": number, "file_name": f"{name}.png", "segments_info": info})
        text(root / "annotations" / f"panoptic_{part}.json", [json.dumps(content)])
    return options("coco", root, variant="panoptic")


def write_coco_stuff(root: Path) -> Options:
    return _coco_maps(root, COCO_STUFF, "stuffthingmaps/{}", "stuff", IGNORE)


def write_coco_stuff_pixelmaps(root: Path) -> Options:
    return _coco_maps(root, COCO_STUFF_ONLY, "annotations/stuff_{}_pixelmaps", "stuff_pixelmaps", 0)


def _coco_maps(root: Path, labels: LabelMap, folder: str, variant: str, ignored: int) -> Options:
    writer = Writer(root, labels, 10)
    for split, part in COCO_PARTS:
        for number in (9, 25):
            image, ids = writer.scene(split, f"{number:012d}")
            save(image, root / part / f"{number:012d}.jpg")
            save(writer.raw(ids, ignored), root / folder.format(part) / f"{number:012d}.png")
    return options("coco", root, variant=variant)


def write_labelme(root: Path) -> Options:
    """A JSON beside each image, with polygons, a rectangle, a circle, a mask, and labels.txt as LabelMe wants it."""
    labels = LabelMap(("_background_", "cable", "plug", "wall"))
    writer = Writer(root, labels, 16)
    for split in ("train", "val"):
        for index in range(2):
            ids = np.zeros(SIZE, np.uint8)
            ids[10:31, 5:21] = 1
            ids[40:51, 30:61] = 2
            rows, columns = np.ogrid[:5, :6]
            patch = (rows + columns) % 2 == 0
            ids[20:25, 50:56][patch] = 3
            ids[0:6, 0:9] = IGNORE
            image = np.clip(ids[..., None] * 50 % 200 + writer.rng.normal(60, 12, (*SIZE, 3)), 0, 255).astype(np.uint8)
            path = save(image, root / split / f"IMG_{index:04d}.jpg")
            buffer = io.BytesIO()
            Image.fromarray(patch).save(buffer, "PNG")
            shapes = [
                _shape("cable", [[5, 10], [20, 10], [20, 30], [5, 30]]),
                _shape("plug", [[30, 40], [60, 50]], "rectangle"),
                _shape("wall", [[50, 20], [55, 24]], "mask", base64.b64encode(buffer.getvalue()).decode()),
                _shape("__ignore__", [[0, 0], [8, 0], [8, 5], [0, 5]]),
            ]
            content = {
                "version": "5.4.1",
                "flags": {},
                "shapes": shapes,
                "imagePath": path.name,
                "imageHeight": SIZE[0],
            }
            content |= {"imageData": base64.b64encode(path.read_bytes()).decode(), "imageWidth": SIZE[1]}
            path.with_suffix(".json").write_text(json.dumps(content, indent=2))
            writer.keep(split, f"IMG_{index:04d}", ids)
    text(root / "labels.txt", ["__ignore__", *labels.names])
    return options("labelme", root)


def _shape(label: str, points: list[list[int]], kind: str = "polygon", mask: str | None = None) -> dict[str, Any]:
    shape = {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {}}
    return {**shape, "mask": mask}


def write_cvat(root: Path) -> Options:
    labels = LabelMap(("background", "crack", "rust stain"), ((0, 0, 0), (250, 50, 83), (61, 245, 61)))
    writer = Writer(root, labels, 17)
    names = {"train": ("frame_000000", "sub/frame 000001"), "val": ("frame_000002", "frame_000003")}
    for split, frames in names.items():
        for name in frames:
            image, ids = writer.scene(split, name, ignored=False)
            save(image, root / "JPEGImages" / f"{name}.jpg")
            save(writer.colors(ids), root / "SegmentationClass" / f"{name}.png")
            save(writer.colors(ids), root / "SegmentationObject" / f"{name}.png")
        text(
            root / "ImageSets" / "Segmentation" / f"{split}.txt",
            [f'"{name}"' if " " in name else name for name in frames],
        )
    rows = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(labels.names, labels.colors, strict=True)]
    text(root / "labelmap.txt", ["# label:color_rgb:parts:actions", *rows])
    return options("cvat", root)


def write_loveda(root: Path) -> Options:
    writer = Writer(root, LOVEDA, 18)
    number = 0
    for split, folder in (("train", "Train"), ("val", "Val")):
        for domain in ("Rural", "Urban"):
            for _ in range(2):
                image, ids = writer.scene(split, f"{domain}/{number}")
                save(image, root / folder / domain / "images_png" / f"{number}.png")
                save(writer.raw(ids, ignored=0), root / folder / domain / "masks_png" / f"{number}.png")
                number += 1
    return options("loveda", root)


def write_potsdam(root: Path) -> Options:
    writer = Writer(root, ISPRS, 19, (96, 96))
    for split, tiles in (("train", ("2_10", "7_12")), ("val", ("2_13", "7_13"))):
        for tile in tiles:
            image, ids = writer.scene(split, tile, ignored=False)
            save(image, root / "2_Ortho_RGB" / f"top_potsdam_{tile}_RGB.tif")
            text(root / "2_Ortho_RGB" / f"top_potsdam_{tile}_RGB.tfw", ["0.05", "0", "0", "-0.05", "366976", "5808000"])
            save(writer.colors(ids), root / "5_Labels_all" / f"top_potsdam_{tile}_label.tif", compression="tiff_lzw")
    return options("potsdam", root)


def write_vaihingen(root: Path) -> Options:
    writer = Writer(root, ISPRS, 20, (90, 80))
    for split, tiles in (("train", ("area1", "area37")), ("val", ("area2", "area38"))):
        for tile in tiles:
            image, ids = writer.scene(split, tile)  # black borders, as in the eroded labels
            save(image, root / "top" / f"top_mosaic_09cm_{tile}.tif")
            folder = "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE"
            save(writer.colors(ids), root / folder / f"top_mosaic_09cm_{tile}_noBoundary.tif")
    masks = f"{folder}/top_mosaic_09cm_{{name}}_noBoundary.tif"
    return options("vaihingen", root, files=FileOptions(masks=masks))


def write_pet(root: Path) -> Options:
    return _pet(root, PET, "pet")


def write_pet_border(root: Path) -> Options:
    return _pet(root, PET_WITH_BORDER, "border")


def _pet(root: Path, labels: LabelMap, variant: str) -> Options:
    writer = Writer(root, labels, 21)
    parts: dict[str, list[str]] = {"trainval": [], "test": []}
    for index in range(24):
        part = "test" if index >= 20 else "trainval"
        name = f"{'Abyssinian' if index % 2 else 'great_pyrenees'}_{index + 100}"
        image, ids = writer.scene("all", name, ignored=variant == "pet")
        save(image, root / "images" / f"{name}.jpg")
        save(writer.raw(ids, ignored=3), root / "annotations" / "trimaps" / f"{name}.png")
        parts[part].append(f"{name} {index % 2 + 1} {index % 2 + 1} 1")
    (root / "annotations" / "trimaps" / "._Abyssinian_101.png").write_bytes(b"\0\5\26\7")  # a Mac made the archive
    (root / "images" / "Abyssinian_101.mat").write_bytes(b"MATLAB 5.0")  # it holds a few of these
    for part, lines in parts.items():
        text(root / "annotations" / f"{part}.txt", lines)
    text(root / "annotations" / "list.txt", ["#Image CLASS-ID SPECIES BREED ID", *parts["trainval"], *parts["test"]])
    return options("pet", root, variant=variant)


def write_huggingface(root: Path) -> Options:
    """Parquet files as the Hub has them: a picture is its encoded bytes."""
    import datasets

    labels = LabelMap(("flat", "vehicle", "nature"), raw_ids=(1, 2, 3), ignored_raw_ids=(0,))
    writer = Writer(root, labels, 22)
    features = datasets.Features({"pixel_values": datasets.Image(), "label": datasets.Image()})
    for split in ("train", "validation"):
        rows: dict[str, list[Any]] = {"pixel_values": [], "label": []}
        for index in range(3):
            image, ids = writer.scene("val" if split == "validation" else split, f"{index:08d}")
            for column, array, kind in (("pixel_values", image, "JPEG"), ("label", writer.raw(ids, ignored=0), "PNG")):
                buffer = io.BytesIO()
                Image.fromarray(array).save(buffer, kind)
                rows[column].append({"bytes": buffer.getvalue(), "path": None})
        (root / "data").mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            root / "data" / f"{split}-00000-of-00001.parquet"
        )
    text(root / "id2label.json", ['{"1": "flat", "2": "vehicle", "3": "nature"}'])
    return options(
        "huggingface",
        root,
        files=FileOptions(image_column="pixel_values", mask_column="label"),
        labels=LabelOptions(classes=labels.names, raw_ids=labels.raw_ids, ignored_raw_ids=(0,)),
    )


def write_roboflow(root: Path) -> Options:
    """COCO's instances as annotation tools export them: a JSON beside the images of each part."""
    found = write_coco(root)
    for part, folder in (("train2017", "train"), ("val2017", "valid")):
        (root / part).rename(root / folder)
        (root / "annotations" / f"instances_{part}.json").rename(root / folder / "_annotations.coco.json")
    files = FileOptions(list="{split}/_annotations.coco.json", images="{split}")
    return {**found, "layout": LayoutOptions(files=files, splits=SplitOptions(train="train", val="valid", test="test"))}


REPLICAS: dict[str, Callable[[Path], Options]] = {
    "ade20k": write_ade20k,
    "camvid": write_camvid,
    "camvid32": write_camvid32,
    "camvid32/folders": write_camvid32_folders,
    "cityscapes": write_cityscapes,
    "cityscapes/coarse": write_cityscapes_coarse,
    "cityscapes/train_ids": write_cityscapes_train_ids,
    "coco": write_coco,
    "coco/export": write_roboflow,
    "coco/panoptic": write_coco_panoptic,
    "coco/stuff": write_coco_stuff,
    "coco/stuff_pixelmaps": write_coco_stuff_pixelmaps,
    "cvat": write_cvat,
    "folder": write_folder,
    "folder/beside": write_folder_beside,
    "folder/binary": write_folder_binary,
    "folder/color": write_folder_color,
    "folder/drive": write_drive,
    "folder/files": write_folder_files,
    "huggingface": write_huggingface,
    "labelme": write_labelme,
    "list": write_list,
    "list/csv": write_list_csv,
    "list/valid": write_list_valid,
    "loveda": write_loveda,
    "pet": write_pet,
    "pet/border": write_pet_border,
    "potsdam": write_potsdam,
    "scenes": write_scenes_replica,
    "vaihingen": write_vaihingen,
    "voc": write_voc,
    "voc/aug": write_voc_aug,
    "voc/sbd": write_voc_sbd,
}
