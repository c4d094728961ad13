"""Corrected copy of a data set, with all faults that need no judgement; the originals are not changed."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from xseg.data.masks.numbers import read_mask
from xseg.data.pairs import FileReader
from xseg.data.patterns import NAME, FolderListing
from xseg.data.sample import Array, Reader
from xseg.data.splits import SplitPlan
from xseg.doctor.finding import Finding, Repair, RepairKind
from xseg.doctor.look import has_numeric_masks
from xseg.doctor.summary import DataSummary
from xseg.errors import ConfigError, DataError
from xseg.images.tiff import oriented
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument

LOG = "corrections.json"
_ORDER: tuple[RepairKind, ...] = (
    "colors", "one_channel", "renumber", "turn", "resize", "shallow", "suffix", "leave_out",
)  # fmt: skip


@dataclass(frozen=True)
class Correction:
    """Folder of a corrected copy, and its numbers of unchanged, changed and left out files."""

    root: Path
    copied: int
    changed: int
    left_out: int


def write_corrected(
    summary: DataSummary, findings: Sequence[Finding], *, root: Path, destination: PathArgument
) -> Correction:
    """Write a copy of a data set with all mechanical repairs, completely or not at all.

    The copy also holds the other files of the data set's folder `root` (class names, notes), and corrections.json,
    which lists changed and left out files by finding. The destination is a new or empty folder outside the data set.

    Raises:
        ConfigError: if the destination is not free.
        DataError: if a file to be changed cannot be read.
        OSError: if the copy cannot be written.
    """
    destination = check_destination(destination, root)
    repairs: dict[Path, list[tuple[str, Repair]]] = defaultdict(list)
    for finding in findings:
        for repair in finding.repairs:
            if all(repair != known for _, known in repairs[repair.path]):
                repairs[repair.path].append((finding.check, repair))
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}")
    try:
        correction = _write(root, temporary, repairs, summary.labels)
        if destination.is_dir():
            destination.rmdir()
        os.replace(temporary, destination)  # noqa: PTH105 - the name says that it replaces
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Correction(destination, *correction)


def check_destination(destination: PathArgument, root: Path) -> Path:
    """Return the absolute destination of a copy of `root`.

    Raises:
        ConfigError: if it is not free, or lies in the data set or around it.
    """
    destination, root = Path(destination).absolute(), root.resolve()
    resolved = destination.resolve()
    if resolved == root or root in resolved.parents or resolved in root.parents:
        got = f"a corrected copy in {destination} of the data set in {root}"
        raise ConfigError(got, expected="a folder outside the data set", remedy="the data set itself is never changed")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ConfigError(f"{destination} exists and is not empty", expected="a new folder", remedy="choose another")
    return destination


def paired_root(reader: Reader) -> Path | None:
    """Return the folder of a data set whose masks are files of class numbers, paired only by path; None for others."""
    if not isinstance(reader, FileReader) or not has_numeric_masks(reader):
        return None
    listing, plan = reader.listing, reader.splits
    if not isinstance(listing, FolderListing) or listing.optional or NAME in listing.images + listing.masks:
        return None
    return listing.root if plan == SplitPlan(seed=plan.seed, group=plan.group) else None


def require_correctable(reader: Reader) -> Path:
    """Return the folder of a data set that can be corrected.

    Raises:
        ConfigError: if its masks are not files of class numbers in one folder.
    """
    root = paired_root(reader)
    if root is None:
        expected = "folders of images and masks of class numbers, split into train, val and test"
        raise ConfigError("a corrected copy of this layout", expected=expected)
    return root


def _write(
    root: Path, temporary: Path, repairs: dict[Path, list[tuple[str, Repair]]], labels: LabelMap
) -> tuple[int, int, int]:
    copied = 0
    log: dict[str, list[dict[str, Any]]] = {"changed": [], "left_out": []}
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        relative = path.relative_to(root)
        wanted = sorted(repairs.get(path, ()), key=lambda entry: _ORDER.index(entry[1].kind))
        entry = {"file": relative.as_posix(), "checks": [check for check, _ in wanted]}
        if any(repair.kind == "leave_out" for _, repair in wanted):
            log["left_out"].append(entry)
            continue
        target = temporary / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if not wanted:
            shutil.copy2(path, target)
            copied += 1
            continue
        target = _apply(path, [repair for _, repair in wanted], labels, target)
        log["changed"].append({**entry, "written": target.relative_to(temporary).as_posix()})
    temporary.mkdir(parents=True, exist_ok=True)
    (temporary / LOG).write_text(json.dumps({"source": str(root), **log}, indent=2) + "\n", encoding="utf-8")
    return copied, len(log["changed"]), len(log["left_out"])


def _apply(path: Path, repairs: Sequence[Repair], labels: LabelMap, target: Path) -> Path:
    """Write a repaired file and return its path; repaired masks are always PNG."""
    suffixes = [repair.suffix for repair in repairs if repair.kind == "suffix"]
    pixels = [repair for repair in repairs if repair.kind != "suffix"]
    if not pixels:
        target = target.with_suffix(suffixes[0])
        shutil.copy2(path, target)
        return target
    mask = _decode(path, {repair.kind for repair in pixels}, labels)
    for repair in pixels:
        mask = _repaired(mask, repair)
    target = target.with_suffix(".png")
    Image.fromarray(mask.astype(np.uint8) if mask.max() <= 255 else mask.astype(np.uint16)).save(target)
    return target


def _decode(path: Path, kinds: set[RepairKind], labels: LabelMap) -> Array:
    if not kinds & {"colors", "one_channel"}:
        return read_mask(path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if "colors" not in kinds:
        return np.ascontiguousarray(pixels[..., 0])
    mask = np.zeros(pixels.shape[:2], np.uint16)
    unknown = np.ones(mask.shape, np.bool_)
    for color, raw in zip(labels.colors, labels.raw_ids, strict=True):
        here = (pixels == np.asarray(color, np.uint8)).all(axis=2)
        mask[here], unknown[here] = raw, False
    if unknown.any():
        raise DataError(f"mask {path} has colours that belong to no class", expected="colours of the label map")
    return mask


def _repaired(mask: Array, repair: Repair) -> Array:
    if repair.kind == "renumber":
        changed = mask.copy()
        for old, new in repair.table:
            changed[mask == old] = new
        return changed
    if repair.kind == "turn":
        return np.ascontiguousarray(oriented(mask, repair.number))
    if repair.kind == "resize":
        return np.asarray(cv2.resize(mask, repair.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT))
    return mask  # "colors" and "one_channel" are done on decoding, "shallow" on writing
