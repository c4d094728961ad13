"""Training in Python, with options or objects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from xseg.api.data import DataSource, data_values
from xseg.api.run import Run
from xseg.api.training import run_training
from xseg.data.options import Augmentation
from xseg.files.objects import is_class_path, plain_values
from xseg.training.options.recipe import LossOptions
from xseg.types import PathArgument, Task

if TYPE_CHECKING:
    from torch import nn

    from xseg.metrics.registry import MetricSource

Options: TypeAlias = Mapping[str, Any]


def train(
    *,
    data: DataSource | None = None,
    model: Options | str | nn.Module | type[nn.Module] | None = None,
    output_dir: PathArgument | None = None,
    max_epochs: int | None = None,
    config: PathArgument | Sequence[PathArgument] = (),
    encoder: str | nn.Module | None = None,
    loss: str | Callable[..., Any] | Mapping[Any, Any] | None = None,
    optimizer: str | Callable[..., Any] | Options | None = None,
    metrics: Sequence[MetricSource] = (),
    augmentation: str | Callable[..., Any] | Sequence[Any] | None = None,
    callbacks: Sequence[Any] = (),
    loggers: Sequence[Any] = (),
    run: Options | None = None,
    trainer: Options | None = None,
    task: Task | None = None,
    seed: int | None = None,
    resume: PathArgument | Literal["auto"] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a model, as `xseg train` does: same options, checks, files and messages.

    Args:
        data: data set: a YAML file, data options, a reader, or a dictionary of "train", "val", "test" and "classes",
            in which a split is a data set of (image, mask) or a tuple of two lists; see `xseg.api.data.DataSource`.
        model: model options; the name of an architecture; the class of your own decoder; or your own model, a module
            from normalised images (N, C, H, W) to logits (N, classes, h, w), of which a copy is trained.
        output_dir: folder of the run; by default runs/train.
        max_epochs: number of epochs; by default 50.
        config: YAML files of all options, which the other arguments override.
        encoder: name of the encoder; or your own, a module from images to a list of feature maps with their channels
            in `out_channels`, of which a copy is trained.
        loss: the only loss: a name, class path, class, module or function of logits and mask; or loss options, among
            which a class path or object is a key, with its weight as value.
        optimizer: optimizer options; or a name, class path, class, or function that takes the parameter groups.
        metrics: further metrics: names, class paths, classes or objects.
        augmentation: name of a preset; or transforms of albumentations or torchvision, or functions from image and
            mask to both.
        callbacks: further callbacks of Lightning.
        loggers: further loggers of Lightning, or names that `run.logger` knows.
        run: run options.
        trainer: arguments of Lightning's Trainer.
        task: task of the model; by default segmentation.
        seed: random seed, 0 or more; by default 0.
        resume: last.ckpt of a run to resume; "auto" for the one in `output_dir`, if any, else a new run.
        overwrite: whether to replace an older run in `output_dir`.
        quiet: whether to print nothing.

    Returns:
        The run, which knows the best epoch, evaluates and predicts.

    Raises:
        XsegError: if an option, the data or the weights are wrong, before training starts.
        KeyboardInterrupt: if it is interrupted; the same call with `resume="auto"` resumes it.
    """
    names = [each for each in loggers if isinstance(each, str)]
    others = tuple(each for each in loggers if not isinstance(each, str))
    values = {
        "task": task,
        "output_dir": output_dir,
        "seed_everything": seed,
        "model": _model_values(model, encoder, loss, optimizer),
        "data": _data_values(data, augmentation),
        "run": {
            **(run or {}),
            **({"metrics": [*metrics]} if metrics else {}),
            **({"logger": ["tensorboard", *names]} if names else {}),
        },
        "trainer": {**(trainer or {}), **({} if max_epochs is None else {"max_epochs": max_epochs})},
        "resume": resume,
        "overwrite": overwrite or None,
    }
    given = plain_values({name: value for name, value in values.items() if value not in (None, {})})
    files = [config] if isinstance(config, str | os.PathLike) else config
    arguments = [argument for file in [*map(str, files), json.dumps(given)] for argument in ("--config", file)]
    again = "the same call and resume='auto'"
    request = run_training(arguments, callbacks=callbacks, loggers=others, quiet=quiet, again=again)
    architecture = getattr(request.model, "architecture", "")
    own_path = architecture if is_class_path(architecture) else None
    return Run(request.run.path, architecture=own_path, objects=values)


def _model_values(model: Any, encoder: Any, loss: Any, optimizer: Any) -> dict[str, Any]:
    values = dict(model) if isinstance(model, Mapping) else {} if model is None else {"architecture": model}
    if encoder is not None:
        values["encoder"] = encoder
    if isinstance(loss, Mapping):
        known = {field.name for field in fields(LossOptions)}
        values["loss"] = {name: value for name, value in loss.items() if name in known}
        own = {source: weight for source, weight in loss.items() if source not in known}
        values["loss"] |= {"terms": own} if own else {}
    elif loss is not None:
        named = isinstance(loss, str) and not is_class_path(loss)
        values["loss"] = {"cross_entropy": 0.0, **({loss: 1.0} if named else {"terms": {loss: 1.0}})}
    if optimizer is not None:
        values["optimizer"] = dict(optimizer) if isinstance(optimizer, Mapping) else {"name": optimizer}
    return values


def _data_values(data: DataSource | None, augmentation: Any) -> dict[str, Any]:
    values = {} if data is None else data_values(data)
    if isinstance(augmentation, str) and augmentation in get_args(Augmentation):
        values["augmentation"] = augmentation
    elif augmentation is not None:
        many = isinstance(augmentation, list | tuple)
        values["transforms"] = [*values.get("transforms", ()), *(augmentation if many else [augmentation])]
    return values
