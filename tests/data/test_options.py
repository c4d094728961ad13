"""Options are checked when they are made, and import no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from xseg.data.options import READER_NAMES, DataOptions
from xseg.data.readers.registry import READERS
from xseg.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [
        {"reader": "camvit"},
        {"batch_size": 0},
        {"workers": -1},
        {"crop": (0, 5)},
        {"crop": (5, 5, 5)},
        {"scale": (2.0, 0.5)},
        {"scale": (0.0, 1.0)},
        {"scale_step": -0.1},
        {"flip": 1.5},
        {"jitter": -0.1},
        {"channels": 0},
        {"images": "images"},
        {"colors": ((0, 0, 0),)},
        {"ignore_index": -1},
        {"classes": ("a",), "raw_ids": (70_000,)},
        {"scene_size": (16, 64)},
        {"scene_counts": (1, 0, 1)},
        {"scene_seed": -1},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        DataOptions(**wrong)


def test_lists_of_yaml_become_tuples():
    options = DataOptions(crop=[64, 96], classes=["a", "b"], colors=[[1, 2, 3], [4, 5, 6]])
    assert options.crop == (64, 96)
    assert options.colors == ((1, 2, 3), (4, 5, 6))
    assert hash(options) == hash(DataOptions(crop=(64, 96), classes=("a", "b"), colors=((1, 2, 3), (4, 5, 6))))


def test_every_option_is_documented_and_every_reader_registered():
    for option in fields(DataOptions):
        assert f"        {option.name}: " in DataOptions.__doc__
    assert tuple(READERS) == READER_NAMES


def test_options_import_neither_torch_nor_opencv():
    code = "import sys, xseg.data.options; sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
