"""A data set's layout is checked when it is made, and imports no torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from xseg.data.layout import READER_NAMES, FileOptions, LabelOptions, LayoutOptions, SceneOptions, SplitOptions
from xseg.data.readers.registry import READERS
from xseg.errors import ConfigError

GROUPS = (LayoutOptions, FileOptions, SplitOptions, LabelOptions, SceneOptions)


@pytest.mark.parametrize(
    ("group", "wrong"),
    [
        (FileOptions, {"images": "{class}/images"}),
        (FileOptions, {"masks": "{name}/{name}.png"}),
        (FileOptions, {"list": "{name}.txt"}),
        (SplitOptions, {"fractions": (0.5, 0.5)}),
        (SplitOptions, {"fractions": (0.5, 0.6, -0.1)}),
        (SplitOptions, {"fractions": (0.5, 0.4, 0.2)}),
        (SplitOptions, {"seed": -1}),
        (LabelOptions, {"encoding": "colour"}),
        (LabelOptions, {"tolerance": 128}),
        (LabelOptions, {"colors": ((0, 0, 0),)}),
        (LabelOptions, {"ignore_index": -1}),
        (LabelOptions, {"classes": ("a",), "raw_ids": (70_000,)}),
        (SceneOptions, {"size": (16, 64)}),
        (SceneOptions, {"counts": (1, 0, 1)}),
        (SceneOptions, {"seed": -1}),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(group, wrong):
    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        group(**wrong)


def test_lists_of_yaml_become_tuples():
    options = LabelOptions(classes=["a", "b"], colors=[[1, 2, 3], [4, 5, 6]])
    assert options.colors == ((1, 2, 3), (4, 5, 6))
    assert hash(options) == hash(LabelOptions(classes=("a", "b"), colors=((1, 2, 3), (4, 5, 6))))


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_is_documented(group):
    for option in fields(group):
        assert f"        {option.name}: " in group.__doc__


def test_every_reader_is_registered():
    assert tuple(READERS) == READER_NAMES


@pytest.mark.parametrize("name", READER_NAMES)
def test_every_reader_has_a_module_and_a_row_in_the_documentation(name):
    assert callable(importlib.import_module(READERS[name]).create)
    assert f"\n| `{name}` |" in (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_options_import_neither_torch_nor_opencv():
    code = "import sys, xseg.data.layout; sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
