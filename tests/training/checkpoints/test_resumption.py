import sys

import pytest
import torch

from xseg.errors import ConfigError, DataError, WeightsError
from xseg.labels.label_map import LabelMap
from xseg.models.config import ModelConfig
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.checkpoints.resumption import Batching, read_resumption
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions

DATA = {"records": 8, "sha256": "a"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    tiny, folder = sys.modules["training_tiny"], tmp_path_factory.mktemp("run")
    task = tiny.tiny_task(identity={"data": DATA}, class_weights=(1.0, 2.0, 3.0))
    callbacks = run_callbacks(RunDirectory(folder), RunOptions(), seed=0)
    tiny.tiny_trainer(folder, callbacks, 1).fit(task, datamodule=tiny.HalvesData())
    return folder / "last.ckpt"


def check(resumption, tiny, **changes):
    now = {
        "labels": tiny.LABELS,
        "batching": Batching(2, 1, 1),
        "data": DATA,
        "accept_changed_data": False,
    }
    resumption.check(**{**now, **changes})


def test_it_holds_what_is_needed_to_go_on(tiny, checkpoint):
    resumption = read_resumption(checkpoint, "segmentation", ModelConfig)
    assert resumption.step == 4
    assert resumption.class_weights == (1.0, 2.0, 3.0)
    assert resumption.batching.images_per_step == 2
    assert resumption.note is None
    check(resumption, tiny)


def test_other_data_is_noticed_and_may_be_meant(tiny, checkpoint):
    resumption, other = read_resumption(checkpoint, "segmentation", ModelConfig), {"records": 9, "sha256": "b"}
    with pytest.raises(DataError, match=r"the 9 training images differ from the 8 images.*accept_changed_data"):
        check(resumption, tiny, data=other)
    check(resumption, tiny, data=other, accept_changed_data=True)


def test_other_classes_are_refused(tiny, checkpoint):
    with pytest.raises(WeightsError, match="has the classes dark, bright, never"):
        check(
            read_resumption(checkpoint, "segmentation", ModelConfig), tiny, labels=LabelMap(("dark", "bright", "other"))
        )


@pytest.mark.parametrize("batching", [Batching(1, 1, 1), Batching(2, 2, 1), Batching(1, 1, 2)])
def test_steps_of_other_batches_are_refused(tiny, checkpoint, batching):
    with pytest.raises(ConfigError, match="2 images x 1 processes x 1 accumulated batches"):
        check(read_resumption(checkpoint, "segmentation", ModelConfig), tiny, batching=batching)


def test_the_same_batches_by_more_processes_are_welcome(tiny, checkpoint):
    check(read_resumption(checkpoint, "segmentation", ModelConfig), tiny, batching=Batching(1, 2, 1))


def test_a_checkpoint_of_another_kind_is_refused_in_a_line(tmp_path):
    torch.save({"xseg": {"model": {"width": "wide"}}, "state_dict": {}, "global_step": 1}, tmp_path / "odd.ckpt")
    with pytest.raises(WeightsError, match=r"odd.ckpt.*this version") as error:
        read_resumption(tmp_path / "odd.ckpt", "segmentation", ModelConfig)
    assert "\n" not in str(error.value)
