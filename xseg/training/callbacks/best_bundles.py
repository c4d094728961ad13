"""The bundles of the best epochs."""

from __future__ import annotations

import difflib
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.strategies import FSDPStrategy

from xseg.bundles.bundle import is_bundle, save_bundle
from xseg.errors import ConfigError
from xseg.training.base import BaseTask
from xseg.training.callbacks.moving_average import ExponentialMovingAverage
from xseg.training.optimizers import Network
from xseg.training.options.run import Mode


def whole_model(trainer: Trainer, task: BaseTask) -> Network:
    """Return the trained model; one that is spread over processes is put together, which all of them have to ask for.

    Its weights are those of the first process alone.
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
    """Keep the bundle of the best epoch, and of some more beside it; with the averaged weights if there are any.

    Args:
        path: the best one's folder, replaced whole.
        top: the folder of the best few, one folder per epoch.
        keep: number of bundles in `top`.
        monitor: what is compared: "val/loss" or a score of the task; None for its main score.
        mode: whether more or less of it is better.
        provenance: what a bundle says about the origin of its weights, beside epoch and score.
        average: the moving average of the weights, if there is one.
    """

    def __init__(
        self,
        path: Path,
        top: Path,
        *,
        keep: int = 0,
        monitor: str | None = None,
        mode: Mode = "max",
        provenance: Mapping[str, Any] | None = None,
        average: ExponentialMovingAverage | None = None,
    ) -> None:
        self.path, self.top, self.keep, self.monitor, self.mode = path, top, keep, monitor, mode
        self.provenance, self.average = dict(provenance or {}), average
        self.best: float | None = None
        self.kept: dict[str, float] = {}
        self._validated = False

    def setup(self, _trainer: Trainer, module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse a name that nothing is logged under.

        Raises:
            ConfigError: with the nearest name.
        """
        if isinstance(module, BaseTask) and self.monitor is not None:
            main, *others = module.score_names()
            names = [main, "val/loss", *others]
            if self.monitor not in names:
                near = difflib.get_close_matches(self.monitor, names, n=1, cutoff=0.0)[0]
                raise ConfigError(f"run.monitor={self.monitor!r}", expected=f"one of {', '.join(names)}", remedy=near)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept, unless its bundle is not here: then the next one is the best."""
        self.best = _number(state_dict["best"]) if is_bundle(self.path) else None
        self.kept = {name: value for name, value in state_dict["kept"].items() if is_bundle(self.top / name)}

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Note that the scores are this epoch's."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the bundle if the epoch is among the best so far."""
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
        """Save the epoch among the best few, and remove the one that it drives out."""
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
    """Return a score, or None for NaN, which compares with nothing and would stay the best for ever."""
    return None if value is None or math.isnan(value) else value


class Patience(EarlyStopping):
    """Lightning's early stopping, which stays stopped when a training that it ended is resumed."""

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Stop again if it had stopped."""
        if self.stopped_epoch > 0:
            trainer.should_stop = True
