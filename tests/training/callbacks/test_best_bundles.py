import json
import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import FSDPStrategy

from xseg.errors import ConfigError
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.best_bundles import BestBundles, Patience, whole_model
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions


class Given(Callback):
    """Scores as given, one per epoch; None for a validation without labels."""

    def __init__(self, *scores):
        self.scores = iter(scores)

    def on_validation_end(self, _trainer, module):
        value, scores = next(self.scores), module.scores
        scores.overall["miou"] = value
        scores.per_class["iou"] = (None if value is None else 1 - value, *scores.per_class["iou"][1:])


def fit(tiny, folder, scores, best):
    tiny.tiny_trainer(folder, [Given(*scores), best], len(scores)).fit(tiny.tiny_task(), datamodule=tiny.HalvesData())


def epoch(bundle):
    return json.loads((bundle / "config.json").read_text())["provenance"]["epoch"]


def test_the_best_few_are_kept_beside_the_best(tiny, tmp_path):
    best = BestBundles(RunDirectory(tmp_path), RunOptions(keep_top=2))
    fit(tiny, tmp_path, [0.3, 0.6, None, 0.2, 0.5], best)
    assert epoch(tmp_path / "best") == 2
    assert sorted(path.name for path in (tmp_path / "top").iterdir()) == ["epoch_0002", "epoch_0005"]
    assert best.kept == {"epoch_0002": 0.6, "epoch_0005": 0.5}


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_score_that_is_no_number_is_never_the_best(tiny, tmp_path, mode):
    best = BestBundles(RunDirectory(tmp_path), RunOptions(keep_top=3, mode=mode))
    fit(tiny, tmp_path, [math.nan, 0.3, math.nan, 0.3], best)
    assert epoch(tmp_path / "best") == 2
    assert best.kept == {"epoch_0002": 0.3, "epoch_0004": 0.3}


def test_a_checkpoint_whose_best_score_is_no_number_has_none(tiny, tmp_path):
    first = BestBundles(RunDirectory(tmp_path), RunOptions())
    fit(tiny, tmp_path, [0.5], first)
    best = BestBundles(RunDirectory(tmp_path), RunOptions())
    best.load_state_dict({"best": math.nan, "kept": {}})
    assert best.best is None


@pytest.mark.parametrize(("mode", "expected"), [("max", 1), ("min", 2)])
def test_any_score_can_be_what_is_best(tiny, tmp_path, mode, expected):
    best = BestBundles(RunDirectory(tmp_path), RunOptions(monitor="val/iou/dark", mode=mode))
    fit(tiny, tmp_path, [0.3, 0.6, 0.5], best)
    assert epoch(tmp_path / "best") == expected


def test_an_unknown_score_is_refused_before_training_with_the_nearest_name(tiny, tmp_path):
    best = BestBundles(RunDirectory(tmp_path), RunOptions(monitor="val/iou/drak"))
    with pytest.raises(ConfigError, match=r"val/iou/drak.*val/iou/dark$"):
        fit(tiny, tmp_path, [0.3], best)


def test_what_a_checkpoint_knows_but_the_folder_has_not_is_forgotten(tmp_path):
    best = BestBundles(RunDirectory(tmp_path), RunOptions(keep_top=2))
    best.load_state_dict({"best": 0.9, "kept": {"epoch_0001": 0.9}})
    assert best.best is None
    assert best.kept == {}


def test_a_training_without_progress_stops_and_stays_stopped(tiny, tmp_path):
    class Worse(Callback):
        def on_validation_epoch_end(self, trainer, module):
            module.log("val/worse", 1.0 + trainer.current_epoch)

    def train(resume=None):
        run = RunDirectory(tmp_path)
        callbacks = [each for each in run_callbacks(run, RunOptions(pictures=0), seed=0) if type(each) is not Patience]
        callbacks.insert(-1, Patience("val/worse", mode="min", patience=2))
        trainer = tiny.tiny_trainer(tmp_path, [Worse(), *callbacks], 9)
        trainer.fit(tiny.tiny_task(), datamodule=tiny.HalvesData(), ckpt_path=resume, weights_only=True)
        return trainer

    assert train().current_epoch == 3
    assert train(tmp_path / "last.ckpt").current_epoch == 3


def test_a_model_that_is_spread_over_processes_is_put_together(tiny):
    task = tiny.tiny_task(seed=4)
    strategy = FSDPStrategy.__new__(FSDPStrategy)
    strategy.lightning_module_state_dict = task.state_dict
    whole = whole_model(SimpleNamespace(strategy=strategy, is_global_zero=True), task)
    assert whole is not task.model
    pairs = zip(whole.state_dict().values(), task.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_patience_comes_by_option(tmp_path):
    callbacks = run_callbacks(
        RunDirectory(tmp_path), RunOptions(early_stopping=5, monitor="val/loss", mode="min"), seed=0
    )
    (patience,) = (each for each in callbacks if isinstance(each, Patience))
    assert (patience.patience, patience.monitor, patience.mode) == (5, "val/loss", "min")
