"""Bundles of the best epochs, and the moving average of the weights in them."""

from __future__ import annotations

import difflib
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from lightning.pytorch.strategies import FSDPStrategy
from torch.optim.swa_utils import get_ema_multi_avg_fn

from xseg.bundles.bundle import is_bundle, save_bundle
from xseg.errors import ConfigError
from xseg.training.base import BaseTask
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.optimizers import Network
from xseg.training.options.run import RunOptions


class ExponentialMovingAverage(WeightAveraging):
    """Computes average = decay * average + (1 - decay) * weights from the first step, with statistics.

    Lightning validates with the average, saves it in checkpoints with the weights, and copies it to the module when
    training ends. Unlike in Lightning's own `EMAWeightAveraging`, one fused call updates all tensors, instead of a few
    small calls per tensor, which on a GPU would cost as much as the step itself.

    Args:
        decay: share of the old average at every step, 0 or more and below 1.

    Source: Polyak and Juditsky 1992; in exponential form as in TF's `ExponentialMovingAverage`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def averaged(self, task: BaseTask) -> Network:
        """Return the model with averaged weights; before training, the model of the task."""
        average = None if self._average_model is None else self._average_model.module
        return average.model if isinstance(average, BaseTask) else task.model


def whole_model(trainer: Trainer, task: BaseTask) -> Network:
    """Return the trained model; all processes must call this together if the model is distributed over them.

    Only the first process gets the complete weights.
    """
    if not isinstance(trainer.strategy, FSDPStrategy):
        return task.model
    state = trainer.strategy.lightning_module_state_dict()
    model = task.unloaded_model()
    if trainer.is_global_zero:
        prefix = "model."
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        model.load_state_dict(own)
    return model


class BestBundles(Callback):
    """Saves the bundles of the best epoch and of further good epochs, with averaged weights if there are any.

    Args:
        run: run directory, whose best bundle is replaced atomically.
        options: compared value, mode and number of further bundles.
        provenance: provenance of the weights for bundles, besides epoch and score.
        average: moving average of the weights, if any.
    """

    def __init__(
        self,
        run: RunDirectory,
        options: RunOptions,
        *,
        provenance: Mapping[str, Any] | None = None,
        average: ExponentialMovingAverage | None = None,
    ) -> None:
        self.path, self.top, self.keep = run.best, run.top, options.keep_top
        self.monitor, self.mode = options.monitor, options.mode
        self.provenance, self.average = dict(provenance or {}), average
        self.best: float | None = None
        self.kept: dict[str, float] = {}
        self._validated = False

    def setup(self, _trainer: Trainer, module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Check the name of the monitored value.

        Raises:
            ConfigError: if no value has this name, with the nearest name.
        """
        if isinstance(module, BaseTask) and self.monitor is not None:
            main, *others = module.score_names()
            names = [main, "val/loss", *others]
            if self.monitor not in names:
                near = difflib.get_close_matches(self.monitor, names, n=1, cutoff=0.0)[0]
                raise ConfigError(f"run.monitor={self.monitor!r}", expected=f"one of {', '.join(names)}", remedy=near)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"best": self.best, "kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; if its bundle is missing, the next one becomes the best."""
        self.best = _number(state_dict["best"]) if is_bundle(self.path) else None
        self.kept = {name: value for name, value in state_dict["kept"].items() if is_bundle(self.top / name)}

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Record that the scores belong to this epoch."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the bundle if the epoch is one of the best so far."""
        validated, self._validated = self._validated, False
        if not validated or not isinstance(module, BaseTask):
            return
        value = _number(module.measured().get(self.monitor or module.main_score))
        if self.best is None or (value is not None and self._better(value, self.best)):
            self.best = value
            self._save(trainer, module, self.path, trainer.current_epoch + 1)
        if self.keep and value is not None:
            self._keep(trainer, module, value)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the last weights if no epoch was validated."""
        if not is_bundle(self.path) and isinstance(module, BaseTask):
            self._save(trainer, module, self.path, trainer.current_epoch)

    def _better(self, one: float, other: float) -> bool:
        return one > other if self.mode == "max" else one < other

    def _keep(self, trainer: Trainer, task: BaseTask, value: float) -> None:
        """Save the epoch among the best few, and remove the worst one beyond their number."""
        name = f"epoch_{trainer.current_epoch + 1:04d}"
        ranked = sorted({**self.kept, name: value}.items(), key=lambda item: item[1], reverse=self.mode == "max")
        kept = dict(ranked[: self.keep])
        if name in kept:
            self._save(trainer, task, self.top / name, trainer.current_epoch + 1)
        if trainer.is_global_zero:
            for gone in set(self.kept) - set(kept):
                shutil.rmtree(self.top / gone, ignore_errors=True)
        self.kept = kept

    def _save(self, trainer: Trainer, task: BaseTask, path: Path, epoch: int) -> None:
        model = whole_model(trainer, task) if self.average is None else self.average.averaged(task)
        if not trainer.is_global_zero:
            return
        scores, main = task.measured(), task.main_score
        values = {main.replace("/", "_"): scores.get(main)}
        if self.monitor not in (None, main):
            values[str(self.monitor)] = scores.get(str(self.monitor))
        save_bundle(task.bundle(model, {**self.provenance, "epoch": epoch, **values}), path)


def _number(value: float | None) -> float | None:
    """Return a score, or None for NaN, which would remain the best forever, as all comparisons are false."""
    return None if value is None or math.isnan(value) else value


class Patience(EarlyStopping):
    """Lightning's early stopping, which stops again if a training that it ended is resumed."""

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Stop if it had stopped before."""
        if self.stopped_epoch > 0:
            trainer.should_stop = True
