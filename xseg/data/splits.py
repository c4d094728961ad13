"""Train, val and test records: the data set's own splits, or a seeded division."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from xseg.data.layout import SplitOptions
from xseg.data.sample import Record
from xseg.errors import ConfigError, DataError
from xseg.types import SPLITS, Split

Listing: TypeAlias = Callable[[str], Sequence[Record]]
"""Function that returns the records of a split, by its name in the data set.

It raises a DataError if files are missing, an image has no label, or two have the same name."""

OWN_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class SplitPlan:
    """Train, val and test splits of a data set.

    Args:
        names: names of train, val and test in the data set.
        fractions: shares of train, val and test into which the training split is divided; empty for no division.
            Splits with another name than the training split are not divided.
        group: regular expression; see `group_of`.
        seed: random seed of the division.

    Raises:
        ConfigError: if the group is not a regular expression.
    """

    names: tuple[str, str, str] = OWN_NAMES
    fractions: tuple[float, ...] = ()
    group: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.group)
        except re.error as error:
            raise ConfigError(f"group={self.group!r} is not a regular expression ({error})") from error

    @classmethod
    def of(
        cls, options: SplitOptions, names: tuple[str, str, str] = OWN_NAMES, fractions: tuple[float, ...] = ()
    ) -> SplitPlan:
        """Return the splits from the options, with the reader's own names and fractions as defaults."""
        given = (options.train, options.val, options.test)
        train = given[0] or names[0]
        # fractions in the options divide all splits that no option names
        own = (train, train, train) if options.fractions else names
        val, test = (mine or theirs for mine, theirs in zip(given[1:], own[1:], strict=True))
        divided = train in (val, test)
        shares = options.fractions or (fractions if divided else ())
        return cls((train, val, test), shares, options.group, options.seed)

    def records(self, split: Split, listing: Listing) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name.

        Raises:
            DataError: as in the listing, if two records have the same name, or if the division leaves a split empty.
        """
        name = self.names[SPLITS.index(split)]
        records = sorted(listing(name), key=lambda record: record.name)
        for one, other in pairwise(records):
            if one.name == other.name:
                raise DataError(f"{one.image} and {other.image} have the same name", expected="one image per name")
        if not self.fractions or name != self.names[0]:
            return tuple(records)
        return self._part(split, records)

    def _part(self, split: Split, records: Sequence[Record]) -> tuple[Record, ...]:
        """Return the share of a split: groups in random order, cut at the ends of the shares."""
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[group_of(record.name, self.group)].append(record)
        order = sorted(groups, key=lambda key: hashlib.sha256(f"{self.seed}/{key}".encode()).digest())
        place = SPLITS.index(split)
        low, high = sum(self.fractions[:place]), sum(self.fractions[: place + 1])
        chosen: list[Record] = []
        seen = 0
        for key in order:
            middle = (seen + len(groups[key]) / 2) / len(records)  # a group belongs to the share of its middle
            seen += len(groups[key])
            if low <= middle < high:
                chosen += groups[key]
        if not chosen:
            images = f"{len(records)} images in {len(groups)} groups"
            got = f"the {split} split is empty: fractions {list(self.fractions)} of {images}"
            raise DataError(got, expected="at least one group per split", remedy="change fractions or group")
        return tuple(sorted(chosen, key=lambda record: record.name))


def group_of(name: str, expression: str) -> str:
    """Return the group of a name: the match of a regular expression, or of its first group, if any.

    Names without match, and all names without an expression, form their own groups.
    """
    match = re.search(expression, name) if expression else None
    if match is None:
        return name
    return str(match[1] if match.re.groups else match[0])
