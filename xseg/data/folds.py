"""Folds of a cross-validation: a stratified assignment by group, its file, and a reader that holds one fold out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xseg.data.lists import read_table
from xseg.data.sample import InspectableReader, Inspection, Reader, Record, Sample
from xseg.errors import ConfigError, DataError
from xseg.labels.label_map import LabelMap
from xseg.types import Split


@dataclass(frozen=True, eq=False)
class FoldReader:
    """Images of the training and validation splits, of which one fold is held out for validation.

    Args:
        reader: reader of the data set; its test split stays as it is.
        pool: record of the reader for each record of the pool; see `pooled`.
        held_out: names of the records in the fold.
    """

    reader: InspectableReader
    pool: Mapping[Record, Record]
    held_out: frozenset[str]

    @property
    def labels(self) -> LabelMap:
        """Classes of the data set."""
        return self.reader.labels

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return self.reader.channels

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of the fold for "val", of all other folds for "train"."""
        if split == "test":
            return self.reader.records(split)
        return tuple(record for record in self.pool if (record.name in self.held_out) == (split == "val"))

    def read(self, record: Record) -> Sample:
        """Decode a record."""
        return replace(self.reader.read(self.pool.get(record, record)), name=record.name)

    def inspect(self, record: Record) -> Inspection:
        """Inspect a record without decoding its image."""
        return self.reader.inspect(self.pool.get(record, record))


def pooled(reader: Reader) -> dict[Record, Record]:
    """Return the records of training and validation by their records in the pool, sorted by name.

    If a name occurs in both splits, all names get the split as their folder. Records that are also in the test split,
    and a validation split that cannot be listed, are left out.

    Raises:
        DataError: if the training split cannot be listed.
    """
    found: dict[Record, Split] = dict.fromkeys(reader.records("train"), "train")
    tested = set(_listed(reader, "test"))
    for record in _listed(reader, "val"):
        found.setdefault(record, "val")
    kept = {record: split for record, split in found.items() if record not in tested}
    unique = len({record.name for record in kept}) == len(kept)
    pool = {
        record if unique else replace(record, name=f"{split}/{record.name}"): record for record, split in kept.items()
    }
    return dict(sorted(pool.items(), key=lambda pair: pair[0].name))


def hold_out(reader: InspectableReader, file: Path, fold: int) -> FoldReader:
    """Return the reader that holds out one fold of a file with the columns name and fold, the first fold being 1.

    Raises:
        ConfigError: if there is no such fold.
        DataError: if the file cannot be read, or lists other images than the data set has.
    """
    _, rows = read_table(file, "the folds of xseg crossval")
    folds = {row.get("name", ""): row.get("fold", "") for row in rows}
    pool = pooled(reader)
    differing = sorted(set(folds) ^ {record.name for record in pool})
    if differing:
        raise DataError(
            f"{file} lists {len(folds)} images and the data set has {len(pool)}; {differing[0]} is only in one of them",
            expected="the images that the folds were made for",
            remedy="run xseg crossval in another folder",
        )
    held_out = frozenset(name for name, of in folds.items() if of == str(fold))
    if not held_out:
        raise ConfigError(f"fold={fold} of {file}", expected=f"one of {', '.join(sorted(set(folds.values())))}")
    return FoldReader(reader, pool, held_out)


def assign_folds(groups: Sequence[str], present: NDArray[np.bool_], *, folds: int, seed: int) -> list[int]:
    """Divide images into folds with similar numbers of images with each class; groups stay together.

    Args:
        groups: group of each image.
        present: whether each image has each class, (images, classes).
        folds: number of folds.
        seed: random seed of the order in which equal groups are assigned.

    Returns:
        The fold of each image, 1 to `folds`; none is empty.

    Raises:
        ConfigError: if there are fewer groups than folds.

    Source: Sechidis et al. 2011, "On the Stratification of Multi-Label Data", algorithm 1: the rarest class first, each
    image to the fold that still wants most of the class. Here with groups, largest first.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if len(members) < folds:
        raise ConfigError(f"folds={folds} for {len(members)} groups of images", expected="at least one group per fold")
    # the first column counts images as if they all had one more class
    table = np.concatenate([np.ones((len(present), 1), np.int64), present.astype(np.int64)], axis=1)
    counts = {group: table[rows].sum(axis=0) for group, rows in members.items()}
    order = sorted(members, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest())
    left = table.sum(axis=0)
    wanted = np.tile(left, (folds, 1))  # times the number of folds, so that equal numbers stay equal
    chosen: dict[str, int] = {}
    while left.any():
        rarest = int(np.where(left > 0, left, left.max() + 1).argmin())
        having = [group for group in order if group not in chosen and counts[group][rarest]]
        for group in sorted(having, key=lambda group: -counts[group][rarest]):
            fold = max(range(folds), key=lambda fold: (wanted[fold, rarest], wanted[fold, 0]))
            chosen[group] = fold + 1
            wanted[fold] -= folds * counts[group]
            left -= counts[group]
    return [chosen[group] for group in groups]


def _listed(reader: Reader, split: Split) -> tuple[Record, ...]:
    """Return the records of a split; none if it does not exist."""
    try:
        return reader.records(split)
    except DataError:
        return ()
