"""Batches are the same whoever reads them; errors of workers arrive in one line; training goes on where it stopped."""

from __future__ import annotations

import logging

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from torch import nn

from xseg.data.layout import LabelOptions, LayoutOptions, SceneOptions
from xseg.data.loading.datamodule import SegmentationData
from xseg.data.options import DataOptions
from xseg.errors import ConfigError, DataError
from xseg.images.normalization import Normalization

SMALL = {
    "reader": "scenes",
    "crop": (32, 32),
    "batch_size": 3,
    "workers": 0,
}


def data(seed=5, counts=(14, 5, 3), size=(40, 56), classes=(), **options):
    layout = LayoutOptions(scenes=SceneOptions(counts=counts, size=size), labels=LabelOptions(classes=classes))
    return SegmentationData(DataOptions(**{**SMALL, **options}, layout=layout), Normalization(), seed)


def epoch(module, number=0):
    loader = module.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


def test_batches_keep_the_contract():
    module = data()
    module.setup("fit")
    train, val = epoch(module), list(module.val_dataloader())
    assert [len(batch["name"]) for batch in train] == [3, 3, 3, 3]
    assert [len(batch["name"]) for batch in val] == [3, 2]
    assert [name for batch in val for name in batch["name"]] == [f"{index:06d}" for index in range(5)]
    for batch, size in ((train[0], (32, 32)), (val[0], (40, 56))):
        assert batch["image"].shape == (3, 3, *size)
        assert batch["image"].dtype == torch.float32
        assert -1 <= batch["image"].min() < batch["image"].max() <= 1
        assert batch["mask"].shape == (3, *size)
        assert batch["mask"].dtype == torch.int64


def test_whole_images_are_the_readers_own():
    module = data()
    module.setup("test")
    batch = next(iter(module.test_dataloader()))
    sample = module.reader.read(module.reader.records("test")[1])
    assert np.array_equal(batch["mask"][1].numpy(), sample.mask)
    assert np.allclose(batch["image"][1].numpy(), sample.image.transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)


def test_samples_do_not_depend_on_the_number_of_workers():
    alone, shared = data(), data(workers=2, jitter=0.3)
    alone_jittered = data(jitter=0.3)
    loader = shared.train_dataloader()
    for number in (0, 1):
        loader.sampler.set_epoch(number)
        for ours, theirs in zip(epoch(alone_jittered, number), list(loader), strict=True):
            assert ours["name"] == theirs["name"]
            assert torch.equal(ours["image"], theirs["image"])
            assert torch.equal(ours["mask"], theirs["mask"])
    first, second = (
        {name: m for b in epoch(alone, e) for name, m in zip(b["name"], b["mask"], strict=True)} for e in (0, 1)
    )
    assert list(first) != list(second)
    assert not any(torch.equal(first[name], second[name]) for name in first.keys() & second.keys())


def test_reading_data_leaves_the_global_random_numbers_alone():
    module = data()
    module.setup("fit")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    epoch(module)
    list(module.val_dataloader())
    assert torch.equal(before, torch.get_rng_state())


def test_a_small_data_set_trains_with_what_it_has():
    batches = epoch(data(counts=(2, 1, 1)))
    assert [len(batch["name"]) for batch in batches] == [2]


def test_images_of_several_sizes_are_evaluated_one_by_one(tmp_path, save):
    for name, size in (("a", (40, 50)), ("b", (44, 50)), ("c", (40, 50))):
        save(np.zeros((*size, 3), np.uint8), tmp_path / "val" / "images" / f"{name}.png")
        save(np.ones(size, np.uint8), tmp_path / "val" / "masks" / f"{name}.png")
    options = {"reader": "folder", "root": str(tmp_path), "classes": ("a", "b")}
    sizes = [tuple(batch["mask"].shape) for batch in data(**options).val_dataloader()]
    assert sizes == [(1, 40, 50), (1, 44, 50), (1, 40, 50)]
    unchecked = [tuple(batch["mask"].shape) for batch in data(**options, check=False).val_dataloader()]
    assert unchecked == sizes


def test_a_cache_reads_once_and_changes_nothing(scenes_root, monkeypatch):
    options = {"reader": "folder", "root": str(scenes_root), "batch_size": 2}
    plain, cached = data(**options), data(**options, cache=True)
    cached.setup("fit")
    monkeypatch.setattr("xseg.data.pairs.read_image", None)
    monkeypatch.setattr(type(plain.reader), "read", lambda *_: pytest.fail("read again"))
    kept = epoch(cached)
    monkeypatch.undo()
    for ours, theirs in zip(epoch(plain), kept, strict=True):
        assert torch.equal(ours["image"], theirs["image"])


def test_wrong_files_are_told_before_work_begins(camvid_root, save):
    strange = np.full((24, 32), 37, np.uint8)
    for index in (0, 2):
        save(strange, camvid_root / "valannot" / f"{index}.png")
    with pytest.raises(
        DataError, match=r"^2 of 3 records of the val split are wrong, the first: mask .*value 37 in 768"
    ):
        data(reader="camvid", root=str(camvid_root)).setup("fit")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_reading_arrives_as_one_line(workers, camvid_root):
    path = camvid_root / "val" / "1.png"
    path.write_bytes(path.read_bytes()[:800])
    module = data(reader="camvid", root=str(camvid_root), workers=workers, cache="none")
    module.setup("validate")  # the header is whole
    with pytest.raises(DataError) as caught:
        list(module.val_dataloader())
    assert str(caught.value).startswith(f"{path} cannot be decoded")
    assert "Traceback" not in str(caught.value)


def test_other_channels_than_the_normalization_has_are_refused():
    with pytest.raises(ConfigError, match="channels=3 with a normalization of 4 channels"):
        SegmentationData(DataOptions(reader="scenes"), Normalization.for_channels(4))


class Recorder(lightning.LightningModule):
    """Notes what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, index):
        self.seen.append((self.current_epoch, index, tuple(batch["name"]), float(batch["image"].sum())))
        return self.weight * batch["image"].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def train(folder=None, resume=None, **options):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    save_each = lightning.callbacks.ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)
    model = Recorder()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        callbacks=[save_each] if folder else [],
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, datamodule=data(size=(32, 40), counts=(7, 1, 1), **options), ckpt_path=resume)
    return model.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, 2), ({"crops_per_image": 2}, 4), ({"steps_per_epoch": 3, "sampling": "class_aware"}, 3)],
    ids=str,
)
def test_training_that_stopped_anywhere_goes_on_with_the_same_samples(tmp_path, options, steps):
    seen = train(tmp_path, **options)
    assert len(seen) == 3 * steps
    for step in range(1, 3 * steps):
        assert train(resume=tmp_path / f"step={step}.ckpt", **options) == seen[step:]


def test_a_small_data_set_gives_as_many_crops_or_steps_as_wanted():
    crops = [
        (name, image)
        for batch in epoch(data(counts=(2, 1, 1), crops_per_image=6))
        for name, image in zip(batch["name"], batch["image"], strict=True)
    ]
    assert [name for name, _ in crops].count("000000") == [name for name, _ in crops].count("000001") == 6
    assert len({float(image.sum()) for _, image in crops}) == 12, "each crop is another one"
    for sampling in ("uniform", "class_aware"):
        for steps in (1, 5):
            batches = epoch(data(counts=(2, 1, 1), steps_per_epoch=steps, sampling=sampling))
            assert [len(batch["name"]) for batch in batches] == [3] * steps


def test_crops_and_steps_contradict_each_other():
    with pytest.raises(ConfigError, match="steps_per_epoch=5 with crops_per_image=2; expected one of them"):
        DataOptions(steps_per_epoch=5, crops_per_image=2)


def two_of_three(root, save):
    """A rare class in one of four training images."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for index in range(4):
            mask = np.zeros((64, 64), np.uint8)
            if index == 2:
                mask[30:34, 50:54] = 1
            save(rng.integers(0, 256, (64, 64, 3), np.uint8), root / split / "images" / f"{index}.png")
            save(mask, root / split / "masks" / f"{index}.png")
    return {
        "reader": "folder",
        "root": str(root),
        "classes": ("most", "rare"),
        "crop": (16, 16),
        "scale": (1, 1),
        "batch_size": 2,
    }


@pytest.mark.parametrize("check", [True, False])
def test_class_aware_sampling_shows_rare_classes_more_often(tmp_path, save, check):
    options = two_of_three(tmp_path, save)

    def share(**more):
        module = data(**options, check=check, **more)
        masks = [mask for number in range(12) for batch in epoch(module, number) for mask in batch["mask"]]
        return np.mean([(mask == 1).any() for mask in masks])

    assert share() < 0.1
    assert share(sampling="class_aware", rare_crops=1.0) > 0.3


def test_class_aware_samples_do_not_depend_on_the_number_of_workers_or_the_cache(tmp_path, save):
    options = {**two_of_three(tmp_path / "data", save), "sampling": "class_aware", "augmentation": "strong"}
    alone = epoch(data(**options), 3)
    shared = data(**options, workers=2, cache="disk", cache_folder=str(tmp_path / "cache"))
    loader = shared.train_dataloader()
    for _ in range(2):  # the second time from the cache
        loader.sampler.set_epoch(3)
        for ours, theirs in zip(alone, list(loader), strict=True):
            assert ours["name"] == theirs["name"]
            assert torch.equal(ours["image"], theirs["image"])
            assert torch.equal(ours["mask"], theirs["mask"])
    assert len(list((tmp_path / "cache").rglob("*.npz"))) >= 2


def test_what_is_suspicious_is_told_before_training_and_does_not_stop_it(scenes_root, caplog):
    module = data(reader="folder", root=str(scenes_root), crop=(64, 64))
    module.setup("fit")
    assert "images smaller than the crop of 64x64: 4 of 4; set crop" in caplog.text
    assert [finding.check for finding in module.checks["train"].findings if finding.severity == "warning"] == [
        "smaller-than-crop"
    ]


def test_generated_scenes_are_sampled_by_their_classes_too():
    module = data(sampling="class_aware", counts=(12, 1, 1))
    weights = module.train_dataloader().sampler.weights
    assert weights.min() >= 1
    assert weights.max() > 1, "rare classes were counted"
