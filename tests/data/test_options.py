"""Options are checked when they are made, and import no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from xseg.data.options import DataOptions
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
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        DataOptions(**wrong)


def test_lists_of_yaml_become_tuples():
    options = DataOptions(crop=[64, 96])
    assert options.crop == (64, 96)
    assert hash(options) == hash(DataOptions(crop=(64, 96)))


def test_every_option_is_documented():
    for option in fields(DataOptions):
        assert f"        {option.name}: " in DataOptions.__doc__


def test_options_import_neither_torch_nor_opencv():
    code = "import sys, xseg.data.options; sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
