"""`xseg train` for classification."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from xseg.cli import EXIT_OK
from xseg.cli.classify_options import ClassifyRequest, build_parser, parse_request
from xseg.cli.progress import clock_time

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from xseg.classification.callbacks import BestClassifier
    from xseg.data.loading.datamodule import ClassificationData
    from xseg.data.readers.class_folders import ClassFolders
    from xseg.doctor.quick_look import ClassCheck
    from xseg.training.callbacks.epoch_table import Row
    from xseg.training.classification import ClassificationTask


def main(arguments: Sequence[str]) -> int:
    """Train a classifier on folders of classes.

    Returns:
        0 when the training and its report are done.

    Raises:
        XsegError: if an option, the data or the weights are wrong, which is found before work begins.
        KeyboardInterrupt: if the user stopped it.
    """
    if "--help" in arguments or "-h" in arguments:
        build_parser().print_help()
        return EXIT_OK
    request = parse_request(arguments)
    request.run.require_free(resume=request.resume is not None, overwrite=request.overwrite)
    from xseg.data.readers.class_folders import list_classes

    folders = list_classes(request.data, seed=request.seed)  # before anything slow is imported
    folders, look = _looked_at(folders, request)
    counts = {split: len(files) for split, files in folders.files.items()}
    how = " (held out)" if folders.held_out else ""
    print(f"data: {counts['train']} training and {counts['val']} validation{how} images, {_classes(folders)}")
    _train(request, folders, look)
    return EXIT_OK


def _looked_at(folders: ClassFolders, request: ClassifyRequest) -> tuple[ClassFolders, ClassCheck]:
    """Look at the files, and leave out broken ones if that was asked for.

    Raises:
        DataError: if files are broken.
    """
    from xseg.doctor.quick_look import look_at_classes
    from xseg.errors import DataError

    look = look_at_classes(folders, request.data.check)
    if not look.broken:
        return folders, look
    if not request.data.skip_broken:
        raise DataError(
            look.summary(),
            expected="whole image files",
            remedy="replace or remove them, or leave them out with --data.skip_broken true",
        )
    print(f"left out {look.summary()}", file=sys.stderr)
    return folders.without({split: [*found] for split, found in look.broken.items()}), look


def _classes(folders: ClassFolders) -> str:
    names = ", ".join(folders.classes[:6]) + (", ..." if len(folders.classes) > 6 else "")
    return f"{len(folders.classes)} classes: {names}"


def _train(request: ClassifyRequest, folders: ClassFolders, look: ClassCheck) -> None:
    from lightning.pytorch import seed_everything

    from xseg.classification.silence import silence_lightning
    from xseg.data.loading.datamodule import ClassificationData
    from xseg.training.classification import ClassificationTask, build_classifier

    silence_lightning()
    seed_everything(request.seed, verbose=False)
    # a resumed training takes its weights from the checkpoint: the encoder's file need not be there any more
    model = build_classifier(
        request.model if request.resume is None else replace(request.model, encoder_weights=None),
        classes=len(folders.classes),
        in_channels=folders.channels,
    )
    task = ClassificationTask(model, request.model)
    data = ClassificationData(folders, request.data, look.normalization, request.seed)
    best = _best(request, folders, data)
    trainer = _trainer(request, best)
    if trainer.is_global_zero:
        _write_down(request, folders)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    where = f"{trainer.precision} on {trainer.strategy.root_device}"
    print(f"model: {request.model.encoder}, {parameters / 1e6:.2f} M parameters, {where}", flush=True)
    _fit(request, trainer, task, data)
    if trainer.is_global_zero:
        _report(request, folders, data, best)


def _best(request: ClassifyRequest, folders: ClassFolders, data: ClassificationData) -> BestClassifier:
    from xseg.classification.callbacks import BestClassifier, ClassifierAverage
    from xseg.data.loading.classification import preprocessing_of

    decay = request.model.ema_decay
    return BestClassifier(
        request.run.best,
        classes=folders.classes,
        normalization=data.normalization,
        preprocessing=preprocessing_of(request.data),
        provenance={"encoder_weights": request.model.encoder_weights, "data": str(folders.root)},
        average=None if decay is None else ClassifierAverage(decay),
    )


def _trainer(request: ClassifyRequest, best: BestClassifier) -> Trainer:
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    from xseg.classification.callbacks import epoch_callbacks
    from xseg.training.checkpoints.io import AtomicCheckpointIO

    return Trainer(
        **asdict(request.trainer),
        callbacks=epoch_callbacks(request.run, best, seed=request.seed, tell=_tell, note=_note),
        logger=TensorBoardLogger(request.run.path, name=request.run.tensorboard.name, version=""),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=request.run.path,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data's own sampler knows about ranks
    )


def _write_down(request: ClassifyRequest, folders: ClassFolders) -> None:
    """Write with what is trained."""
    from xseg.files.atomic import write_text
    from xseg.training.environment import describe_environment, describe_resumed

    if request.overwrite:
        request.run.clear()
    write_text(request.run.config, request.as_yaml())
    environment = describe_environment(folders, seed=request.seed, config=request.as_dict())
    if request.resume is not None:
        environment = describe_resumed(request.run.environment, environment)
    write_text(request.run.environment, json.dumps(environment, indent=2) + "\n")


def _fit(request: ClassifyRequest, trainer: Trainer, task: ClassificationTask, data: ClassificationData) -> None:
    """Train, or go on training.

    Raises:
        WeightsError: if the checkpoint does not fit.
        KeyboardInterrupt: if the user stopped it.
    """
    from xseg.errors import WeightsError
    from xseg.training.callbacks.stop_signals import TrainingStopped

    again = f"xseg train --config {request.run.config} --resume {request.run.last_checkpoint}"
    try:
        trainer.fit(task, datamodule=data, ckpt_path=request.resume, weights_only=True)
    except TrainingStopped as stop:
        print(f"stopped after step {stop.step}; go on with: {again}", file=sys.stderr)
        raise KeyboardInterrupt from stop
    except RuntimeError as error:
        if request.resume is None or "state_dict" not in str(error):
            raise
        raise WeightsError(
            f"checkpoint {request.resume} is of another classifier", remedy="give the run's own config.yaml"
        ) from error


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(row: Row, epochs: int | None, seconds_left: float | None) -> None:
    """Print an epoch's line."""
    parts = [f"epoch {row['epoch']}" + (f"/{epochs}" if epochs else "")]
    shown = (("loss", "train/loss"), ("val loss", "val/loss"), ("val accuracy", "val/accuracy"))
    parts += [f"{name} {row[column]:.4f}" for name, column in shown if row[column] is not None]
    parts.append(f"{row['images_per_second']:.1f} images/s  {row['seconds']:.1f} s")
    if seconds_left is not None:
        parts.append(f"{clock_time(seconds_left)} left")
    print("  ".join(parts), flush=True)


def _report(request: ClassifyRequest, folders: ClassFolders, data: ClassificationData, best: BestClassifier) -> None:
    from xseg.reports.classification import write_report

    if best.best is not None:
        write_report(
            request.run.report,
            title=request.run.path.resolve().name,
            scores=best.best,
            classes=folders.classes,
            history=request.run.metrics,
            pictures=[data.dataset("val").picture(mistake.index) for mistake in best.best.worst],
        )
        print(f"best accuracy: {best.best.accuracy:.4f} (top-5 {best.best.top5:.4f})")
        print(f"report: {request.run.report}")
    print(f"best classifier: {request.run.best}\nlast state: {request.run.last_checkpoint}", flush=True)
