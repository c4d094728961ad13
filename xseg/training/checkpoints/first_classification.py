"""Conversion of classification checkpoints in the first format to the current one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from xseg.bundles.bundle import load_bundle
from xseg.errors import WeightsError, XsegError

BEST, AVERAGE = "BestClassifier", "ClassifierAverage"  # callbacks of the first version only
GROUPS = {"head": "last", "head/without_decay": "last/bias"}  # new names of parameter groups


def is_first_classification(checkpoint: dict[str, Any]) -> bool:
    """Return whether a checkpoint has the first format."""
    return BEST in checkpoint.get("callbacks", {})


def upgraded(checkpoint: dict[str, Any], run: Path, key: str) -> dict[str, Any]:
    """Convert a checkpoint from the first format to the current one.

    The first format has no model description, which is read from the run directory. The position in the epoch comes
    from Lightning's counters; the table row of a started epoch covers only its remaining batches.

    Args:
        checkpoint: checkpoint in the first format; not modified.
        run: run directory.
        key: key of the model description in a checkpoint.

    Raises:
        WeightsError: if the bundle or the descriptions of the run are missing.
    """
    try:
        bundle = load_bundle(run / "best", "classification")
        options = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        data = json.loads((run / "environment.json").read_text(encoding="utf-8"))["data"]["train"]
        batch_size, accumulated = options["data"]["batch_size"], options["trainer"]["accumulate_grad_batches"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, XsegError) as error:
        raise WeightsError(
            f"the checkpoint in {run} has the first format of classification, and its run cannot be read: "
            f"{' '.join(str(error).split())}",
            expected="best/, config.yaml and environment.json in the same folder",
        ) from error
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]
    callbacks = dict(checkpoint["callbacks"])
    callbacks["BestBundles"] = {"best": callbacks.pop(BEST)["accuracy"], "kept": {}}
    if AVERAGE in callbacks:
        callbacks["ExponentialMovingAverage"] = callbacks.pop(AVERAGE)
    return {
        **checkpoint,
        "callbacks": callbacks,
        "optimizer_states": [{**state, "param_groups": _groups(state)} for state in checkpoint["optimizer_states"]],
        "lr_schedulers": [_reversed(state) for state in checkpoint["lr_schedulers"]],
        "ClassificationData": {"epoch": checkpoint["epoch"], "position": batches * batch_size},
        key: {
            "task": "classification",
            "model": asdict(bundle.model.config),
            "labels": bundle.labels.to_dict(),
            "normalization": asdict(bundle.normalization),
            "batch_size": batch_size,
            "processes": 1,
            "accumulated": accumulated,
            "epoch_loss": [0.0, 0.0],
            "epoch_accuracy": [0.0, 0.0],
            "data": data,
        },
    }


def _groups(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return parameter groups in the current order, which is the reverse of the first format."""
    return [{**group, "name": GROUPS.get(group["name"], group["name"])} for group in state["param_groups"][::-1]]


def _reversed(state: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's state with its rates in the order of the groups."""
    return {name: value[::-1] if name in ("base_lrs", "_last_lr") else value for name, value in state.items()}
