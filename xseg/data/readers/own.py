"""The user's own readers and data sets, by class path or as objects, with checks of every sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from xseg.data.label_files import classes_of
from xseg.data.masks.numbers import count_values
from xseg.data.options import DataOptions
from xseg.data.readers.dataset import DatasetReader, blaming, checked_image, checked_mask
from xseg.data.sample import InspectableReader, Inspection, Reader, Record, Sample
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError, DataError, did_you_mean
from xseg.files.objects import absolute_class_path, is_held, load_object
from xseg.labels.label_map import LabelMap
from xseg.types import Split

METHODS = ("records", "read")  # methods of a reader, besides `labels`


def create(options: DataOptions) -> Reader:
    """Return the reader for the class path in the options.

    A class with `labels`, `records` and `read` is a reader. Any other class or function is called with the name of a
    split and returns a map-style data set of (image, mask), with the classes in `layout.labels.classes` or the data
    set's `classes`. Both get `layout.options` as arguments, and `root` and `channels` if they have such arguments.

    Raises:
        ConfigError: if the class path, an option or the result is wrong.
        DataError: if the code raises an error, or the classes are unknown.
    """
    # absolute, so that worker processes find the same file
    options = replace(options, reader=absolute_class_path(options.reader))
    found, name = load_object(options.reader), f"reader {options.reader}"
    if is_held(options.reader) and not isinstance(found, type) and not inspect.isroutine(found):
        return as_reader(found, channels=options.channel_count)
    if all(hasattr(found, method) for method in METHODS):
        if isinstance(found, type):
            with blaming(name):
                found = found(**_arguments(found, options, name))
        elif options.layout.options:
            raise ConfigError(f"layout.options with {name}, which is an object", expected="a class")
        reader = CheckedReader(found, name, channels=options.channel_count, options=options)
        if reader.channels != options.channel_count:
            got = f"channels={options.channel_count} with {name}, whose images have {reader.channels}"
            raise ConfigError(got, expected="the same number", remedy=f"set data.channels to {reader.channels}")
        return reader
    if not callable(found):
        got = f"{name} is {type(found).__name__}"
        raise ConfigError(got, expected=f"a class with labels, {' and '.join(METHODS)}, or a function")
    return _dataset_reader(found, options, name)


def as_reader(reader: Reader, *, channels: int) -> Reader:
    """Return a reader with checked samples: a reader of this package itself, any other one in a `CheckedReader`.

    Args:
        reader: any reader.
        channels: number of image channels, if the reader has no `channels`.
    """
    if type(reader).__module__.partition(".")[0] == "xseg":
        return reader
    return CheckedReader(reader, f"reader {type(reader).__qualname__}", channels=channels)


class CheckedReader:
    """The user's own reader, with checks of every sample.

    Args:
        reader: object with `labels` (a `LabelMap` or class names), `records` and `read`, and optionally `channels` and
            `inspect`.
        name: name of the reader in error messages.
        channels: number of image channels, if the reader has no `channels`.
        options: options from which worker processes create the reader; None to copy it.

    Raises:
        ConfigError: if the reader is incomplete.
    """

    def __init__(self, reader: Any, name: str, *, channels: int, options: DataOptions | None = None) -> None:
        self._reader, self.name, self._options = reader, name, options
        missing = [method for method in METHODS if not callable(getattr(reader, method, None))]
        missing += [] if hasattr(reader, "labels") else ["labels"]
        if missing:
            raise ConfigError(f"{name} has no {' and no '.join(missing)}", expected="labels, records and read")
        self.labels = _label_map(reader.labels, name, options)
        self.channels = int(getattr(reader, "channels", channels))

    def __reduce__(self) -> tuple[Callable[..., Reader], tuple[Any, ...]]:
        """Create the reader again in another process, which may not have imported its module."""
        if self._options is not None:
            return create, (self._options,)
        return partial(CheckedReader, channels=self.channels), (self._reader, self.name)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name."""
        with blaming(f"{self.name}, split {split}"):
            records = tuple(self._reader.records(split))
        for record in records:
            if not isinstance(record, Record):
                raise DataError(f"{self.name}: records({split!r}) holds {type(record).__name__}", expected="Record")
        return SplitPlan().records(split, lambda _: records)

    def read(self, record: Record) -> Sample:
        """Return a sample after checking it against `Sample`."""
        name = f"{record.name} of {self.name}"
        with blaming(name):
            sample = self._reader.read(record)
        if not isinstance(sample, Sample):
            raise DataError(f"{name} is {type(sample).__name__}", expected="Sample")
        image = checked_image(sample.image, self.channels, name)
        if sample.mask is None:
            return Sample(record.name, image, None)
        numbers = replace(self.labels, raw_ids=(), ignored_raw_ids=())  # of train ids
        mask = checked_mask(sample.mask, image.shape[:2], numbers, name)
        return Sample(record.name, image, mask)

    def inspect(self, record: Record) -> Inspection:
        """Return size and mask values of a record, from the reader's own `inspect` or by reading it."""
        if isinstance(self._reader, InspectableReader):
            with blaming(f"{record.name} of {self.name}"):
                found: Inspection = self._reader.inspect(record)
            return found
        sample = self.read(record)
        raw = dict(enumerate(self.labels.raw_ids))
        counts = {} if sample.mask is None else count_values(sample.mask)
        values = {raw.get(value, self.labels.ignore_index): count for value, count in counts.items()}
        return Inspection(sample.image.shape[:2], values)


def _dataset_reader(make: Callable[..., Any], options: DataOptions, name: str) -> DatasetReader:
    """Return the reader for a function from the name of a split to its data set."""
    arguments = _arguments(make, options, name, positional=1)
    plan = SplitPlan.of(options.layout.splits)

    def dataset_of(split: str) -> Any:
        """Return a split's data set; errors name it."""
        with blaming(f"{name}, split {split}"):
            return make(split, **arguments)

    if options.layout.labels.classes:
        known = classes_of(Path(), options.layout.labels)
    else:
        classes = getattr(make, "classes", None) or getattr(dataset_of(plan.names[0]), "classes", None)
        if classes is None:
            raise DataError(f"{name} has no classes", expected="class names", remedy="set layout.labels.classes")
        known = _label_map(classes, name, options)
    channels, remake = options.channel_count, (create, (options,))
    return DatasetReader(dataset_of, known, channels=channels, splits=plan, name=name, remake=remake)


def _arguments(made: Callable[..., Any], options: DataOptions, name: str, *, positional: int = 0) -> dict[str, Any]:
    """Return the arguments of a user's class or function, whose first `positional` ones are left out.

    They are the user's options, and `root` and `channels` if it has them.
    """
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [*inspect.signature(made).parameters.values()]
    known = {parameter.name: parameter for parameter in parameters[positional:] if parameter.kind in kinds}
    given: Mapping[str, Any] = options.layout.options
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    unknown = [option for option in given if option not in known and not anything]
    if unknown:
        own = [option for option in known if option not in ("root", "channels")]
        got = f"layout.options: {name} has no option {unknown[0]!r}"
        expected = f"one of {', '.join(own)}" if own else "none"
        raise ConfigError(got, expected=expected, remedy=did_you_mean(unknown[0], known))
    shared = {"root": options.root, "channels": options.channel_count}
    arguments = {option: value for option, value in shared.items() if option in known and value} | dict(given)
    missing = [key for key in known if key not in arguments and known[key].default is inspect.Parameter.empty]
    if missing:
        remedy = "set data.root" if missing == ["root"] else f"set data.layout.options.{missing[0]}"
        raise ConfigError(f"{name} needs {', '.join(missing)}", remedy=remedy)
    return arguments


def _label_map(classes: Any, name: str, options: DataOptions | None) -> LabelMap:
    overlapping = options is not None and options.layout.labels.overlapping
    if isinstance(classes, LabelMap):
        return replace(classes, overlapping=classes.overlapping or overlapping)
    if isinstance(classes, list | tuple) and all(isinstance(entry, str) for entry in classes):
        return LabelMap(tuple(classes), overlapping=overlapping)
    raise ConfigError(f"{name} has {type(classes).__name__} as classes", expected="a LabelMap or a list of names")
