"""Checkpoints of classification from before it was trained like segmentation, in the form that is resumed now."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from xseg.bundles.bundle import load_bundle
from xseg.errors import WeightsError, XsegError

BEST, AVERAGE = "BestClassifier", "ClassifierAverage"  # callbacks that no later version has
GROUPS = {"head": "last", "head/without_decay": "last/bias"}  # parameter groups that are called otherwise now


def is_first_classification(checkpoint: dict[str, Any]) -> bool:
    """Return whether a checkpoint is of the earlier form."""
    return BEST in checkpoint.get("callbacks", {})


def upgraded(checkpoint: dict[str, Any], run: Path, key: str) -> dict[str, Any]:
    """Return a checkpoint of the earlier form as one of this version.

    It did not say what it is of: the run that it lies in does. The place in the epoch is that of Lightning's counters;
    the row of a started epoch covers its remaining batches alone.

    Args:
        checkpoint: of the earlier form; it is not changed.
        run: the run's folder.
        key: where this version keeps what a checkpoint is of.

    Raises:
        WeightsError: if the run's bundle or descriptions are missing.
    """
    try:
        bundle = load_bundle(run / "best", "classification")
        options = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        data = json.loads((run / "environment.json").read_text(encoding="utf-8"))["data"]["train"]
        batch_size, accumulated = options["data"]["batch_size"], options["trainer"]["accumulate_grad_batches"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, XsegError) as error:
        raise WeightsError(
            f"the checkpoint in {run} is of the first form of classification, without the run that describes it: "
            f"{' '.join(str(error).split())}",
            expected="the run's best/, config.yaml and environment.json beside it",
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
            "model": bundle.model.config.to_dict(),
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
    """Return parameter groups in the order of now, which is the reverse."""
    return [{**group, "name": GROUPS.get(group["name"], group["name"])} for group in state["param_groups"][::-1]]


def _reversed(state: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's state with its rates in the order of the groups."""
    return {name: value[::-1] if name in ("base_lrs", "_last_lr") else value for name, value in state.items()}
