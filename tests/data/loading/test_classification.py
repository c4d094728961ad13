"""Images become tensors: the same for the same seed, epoch and index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from xseg.data.loading.classification import Preprocessing, preprocessing_of
from xseg.data.loading.datamodule import ClassificationData
from xseg.data.options import ClassDataOptions
from xseg.data.readers.class_folders import list_classes
from xseg.errors import DataError
from xseg.images.normalization import Normalization


def data(root, seed=0, **changes):
    options = ClassDataOptions(root=str(root), **{"size": 36, "batch_size": 3, "workers": 0, **changes})
    return ClassificationData(list_classes(options), options, Normalization(), seed)


def test_a_training_image_is_a_function_of_seed_epoch_and_index(folders):
    one, other, third = data(folders), data(folders, workers=1), data(folders, seed=1)
    item = one.dataset("train").item(2, 5)
    assert_close(other.dataset("train").item(2, 5)["image"], item["image"], rtol=0, atol=0)
    assert item["image"].shape == (3, 36, 36)
    assert (item["target"], item["index"]) == (1, 5)
    for differing in (one.dataset("train").item(3, 5), third.dataset("train").item(2, 5)):
        assert not torch.equal(differing["image"], item["image"])


def test_a_validation_image_is_the_middle_of_the_resized_one(folders):
    loaded = data(folders, resize=40)
    record = loaded.dataset("val").records[0]
    image = loaded.reader.read(record).image  # 40 x 44: its short side is 40 already
    expected = torch.from_numpy(image[2:38, 4:40].transpose(2, 0, 1).copy()).float() / 127.5 - 1
    assert_close(loaded.dataset("val").item(0, 0)["image"], expected)


def test_every_validation_image_is_seen_once_and_in_order(folders):
    indices = torch.cat([batch["index"] for batch in data(folders).val_dataloader()])
    assert indices.tolist() == [0, 1, 2, 3]


def test_training_batches_are_whole_and_shuffled_anew(folders):
    loader = data(folders).train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert [len(batch["target"]) for batch in batches] == [3, 3]
        epochs.append(torch.cat([batch["index"] for batch in batches]).tolist())
    assert epochs[0] != epochs[1]


def test_a_cached_image_is_the_same(folders):
    cached, fresh = data(folders, cache=True), data(folders)
    assert_close(cached.dataset("train").item(1, 2)["image"], fresh.dataset("train").item(1, 2)["image"])
    for path in folders.rglob("*.png"):
        path.unlink()
    assert cached.dataset("train").item(1, 2)["target"] == 0


def test_an_image_that_breaks_meanwhile_is_told_in_one_line(folders):
    loaded = data(folders)
    (folders / "val" / "red" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"red/0.png is not an image"):
        list(loaded.val_dataloader())


def test_stretching_fills_the_input_whatever_the_proportions():
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 20:] = 255
    stretched = Preprocessing(34, 34, "stretch", "nearest").apply(image)
    assert stretched.shape == (34, 34, 3)
    assert np.array_equal(stretched[:, :17], np.zeros((34, 17, 3)))
    assert np.array_equal(stretched[:, 17:], np.full((34, 17, 3), 255))


@pytest.mark.parametrize("shape", [(33, 200, 3), (200, 33, 1), (41, 40, 5)])
def test_any_image_gets_the_size_of_the_input(shape):
    assert Preprocessing(36, 41).apply(np.zeros(shape, np.uint8)).shape == (36, 36, shape[2])


def test_the_evaluation_sees_seven_eighths_unless_told_otherwise():
    assert preprocessing_of(ClassDataOptions(size=299)).resize == 342
    assert preprocessing_of(ClassDataOptions(size=299, resize=299)).resize == 299
