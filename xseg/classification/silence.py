"""Lightning's hints about products and choices that were made on purpose, silenced; real warnings stay."""

from __future__ import annotations

import logging
import warnings

IRRELEVANT = (
    r".*does not have many workers.*",  # the user chose data.workers
    r".*exists and is not empty.*",  # the run directory is checked before
    r".*smaller than the logging interval.*",  # the table has a row per epoch
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*GPU available but not used.*",  # the user chose the accelerator
)


def silence_lightning() -> None:
    """Silence hints."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in IRRELEVANT:
        warnings.filterwarnings("ignore", pattern)
