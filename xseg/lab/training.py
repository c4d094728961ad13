"""One training of a study: a network with a seed, and its curve."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from xseg.data.generated.drawings import DrawnClasses
from xseg.data.loading.datamodule import ClassificationData
from xseg.data.options import ClassDataOptions, FileCheck
from xseg.data.readers.class_folders import list_classes
from xseg.data.sample import ClassReader
from xseg.doctor.quick_look import look_at_classes
from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.images.normalization import Normalization
from xseg.lab.budget import Network
from xseg.lab.settings import StudySettings
from xseg.training.callbacks.assembly import StepSeed
from xseg.training.classification import ClassificationTask
from xseg.training.options.recipe import OptimizerOptions, ScheduleOptions
from xseg.training.options.task import ClassifierOptions
from xseg.training.run.loggers import quiet_lightning


@dataclass(frozen=True)
class Curve:
    """Results of one training: accuracy and cross-entropy at the steps of its validations, and seconds with these."""

    variant: str
    seed: int
    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    seconds: float

    def save(self, path: Path) -> None:
        """Write the curve as JSON, completely or not at all."""
        write_text(path, json.dumps(asdict(self)) + "\n")


def load_curve(path: Path) -> Curve | None:
    """Return a saved curve; None if the file is missing or not a curve."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: tuple(values[name]) for name in ("steps", "accuracy", "loss")}
        return Curve(**{**values, **lists})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class _Validations(Callback):
    """Records the scores of each validation."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float, float]] = []

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Keep the scores of a validation."""
        if isinstance(module, ClassificationTask) and module.scores is not None:
            self.points.append((trainer.global_step, module.scores.accuracy, module.scores.loss))


def data_of(settings: StudySettings, root: str, *, check: FileCheck = "auto") -> tuple[ClassReader, Normalization]:
    """Return the images of a study, from a folder of classes, or generated without one.

    Raises:
        DataError: if the folder's images cannot be used.
    """
    if not root:
        return DrawnClasses((settings.images, settings.val_images), settings.size), Normalization()
    folders = list_classes(ClassDataOptions(root=root))
    look = look_at_classes(folders, check)
    if look.broken:
        raise DataError(look.summary(), expected="complete image files", remedy="replace or remove them")
    return folders, look.normalization


def train(network: Network, settings: StudySettings, *, seed: int, root: str = "") -> Curve:
    """Train a network once.

    Raises:
        DataError: if the folder's images cannot be used.
    """
    quiet_lightning()
    reader, normalization = data_of(settings, root, check="none")  # a study checks the files once, before the trainings
    seed_everything(seed, verbose=False)
    batch, size = settings.batch_size, settings.size
    options = ClassDataOptions(batch_size=batch, workers=0, size=size, resize=size, scale=(0.6, 1.0), cache=True)
    data = ClassificationData(reader, options, normalization, seed)
    steps = settings.epochs * len(data.train_dataloader())
    recipe = ClassifierOptions(
        optimizer=OptimizerOptions(
            name=settings.optimizer,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            options={"eps": 1.0} if settings.optimizer == "rmsprop" else {},  # TF slim's on ImageNet; 1e-8 diverges
        ),
        schedule=ScheduleOptions(power=1.0, warmup_steps=settings.warmup_steps),
        label_smoothing=0.0,
        ema_decay=None,
        batch_norm_momentum=0.1,
    )
    task = ClassificationTask(recipe, reader.labels, normalization, model=network.build())
    task.batch_size = batch
    noted = _Validations()
    start = time.perf_counter()
    _trainer(seed, noted, steps=steps, every=max(1, steps // settings.points)).fit(task, datamodule=data)
    seconds = round(time.perf_counter() - start, 1)
    found, accuracy, loss = (tuple(column) for column in zip(*noted.points, strict=True))
    return Curve(network.variant.name, seed, found, accuracy, loss, seconds)


def _trainer(seed: int, noted: _Validations, *, steps: int, every: int) -> Trainer:
    return Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        max_steps=steps,
        val_check_interval=every,
        check_val_every_n_epoch=None,  # validation is scheduled by steps across epochs
        callbacks=[StepSeed(seed), noted],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
