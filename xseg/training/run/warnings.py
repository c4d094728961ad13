"""Filters for Lightning's hints about other products and deliberate choices; real warnings stay."""

from __future__ import annotations

import logging
import warnings

IRRELEVANT_WARNINGS = (
    r".*does not have many workers.*",  # the user chose data.workers
    r".*exists and is not empty.*",  # the run directory is checked before
    r".*smaller than the logging interval.*",  # the table has a row per epoch
    r".*in eval mode at the start of training.*",  # frozen normalisation
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",  # float16 skips its first steps on purpose
    r".*your dataloader is not resumable.*",  # its sampler is, through the state of the data module
    r".*recommended to use `self\.log\(.*sync_dist=True.*",  # logged values are the same in all processes
    r".*Grad strides do not match bucket view strides.*",  # depthwise kernels have two names for one layout
    r".*GPU available but not used.*",  # the user chose the accelerator
)


def quiet_lightning() -> None:
    """Silence Lightning's hints."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in IRRELEVANT_WARNINGS:
        warnings.filterwarnings("ignore", pattern)
