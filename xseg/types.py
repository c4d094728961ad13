"""Aliases and literals used everywhere."""

from __future__ import annotations

from os import PathLike
from typing import Literal, TypeAlias

PathArgument: TypeAlias = str | PathLike[str]
OutputStride: TypeAlias = Literal[4, 8, 16, 32]
Padding: TypeAlias = Literal["symmetric", "tf_same"]
Split: TypeAlias = Literal["train", "val", "test"]
Task: TypeAlias = Literal["segmentation", "multilabel", "classification"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Channels: TypeAlias = int | tuple[int, ...]  # number of channels to convert to, or the bands of the file, from 1
MaskValues: TypeAlias = Literal["index", "255", "color", "raw"]
RGB: TypeAlias = tuple[int, int, int]

OUTPUT_STRIDES: tuple[OutputStride, ...] = (4, 8, 16, 32)
SPLITS: tuple[Split, ...] = ("train", "val", "test")
