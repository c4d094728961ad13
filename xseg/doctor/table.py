"""Table of all checks. A new check is a function of the summary in `checks` and a row here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from xseg.doctor.checks import files, images, labels, masks, pairs
from xseg.doctor.finding import SEVERITIES, Finding
from xseg.doctor.summary import DataSummary

Check: TypeAlias = Callable[[DataSummary], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    *(files.splits, files.strays, files.unpaired, files.empty, files.unreadable, files.refused),
    *(files.suffixes, files.names, files.frames),
    *(pairs.sizes, pairs.image_is_mask, pairs.mask_copies, pairs.image_copies),
    *(masks.colors, masks.equal_channels, masks.lossy, masks.interpolated, masks.values, masks.deep, masks.palettes),
    *(labels.all_ignored, labels.ignore_share, labels.constant, labels.absent, labels.imbalance),
    *(images.kinds, images.shallow, images.not_finite, images.constant, images.channels, images.small),
    *(images.mixed_sizes, images.orientations),
)
CHEAP_CHECKS: tuple[Check, ...] = (
    *(labels.two_values, labels.all_ignored, labels.ignore_share, labels.absent, labels.imbalance),
    images.small,
)
"""Checks that need only sizes and mask numbers, which `xseg train` runs before its first step."""


def run_checks(summary: DataSummary, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Return the findings of the checks, errors first and notes last, otherwise in the order of the checks."""
    findings = [finding for check in checks for finding in check(summary)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
