import pytest
import torch

from xseg.training.checkpoint_io import AtomicCheckpointIO


def test_a_checkpoint_that_fails_leaves_the_older_one(tmp_path):
    path = tmp_path / "last.ckpt"
    checkpoints = AtomicCheckpointIO()
    checkpoints.save_checkpoint({"value": torch.arange(3)}, path)
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save_checkpoint({"value": torch.arange(5), "broken": lambda: None}, path)
    assert torch.equal(torch.load(path, weights_only=True)["value"], torch.arange(3))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
