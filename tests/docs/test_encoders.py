"""The table of docs/encoders.md says what can be built."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from segmentation_models_pytorch.encoders import encoders as smp_encoders

ROOT = Path(__file__).parents[2]
TABLE = [line for line in (ROOT / "docs" / "encoders.md").read_text("utf-8").splitlines() if line.startswith("| ")]


def program():
    """Return docs/programs/encoders.py as a module."""
    spec = importlib.util.spec_from_file_location("encoders_table", ROOT / "docs" / "programs" / "encoders.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["xception41p", "resnet18", "mit_b0", "mobilenet_v2"])
def test_a_row_is_what_the_program_prints(encoder):
    assert next(program().rows([encoder])) in TABLE


def test_each_architecture_has_a_column_and_each_encoder_of_ours_a_row():
    from xseg.encoders.variants import list_encoders
    from xseg.models.architectures import ARCHITECTURES

    assert [cell.strip() for cell in TABLE[0].split("|")[2:-1]] == list(ARCHITECTURES)
    assert {row.split("|")[1].strip() for row in TABLE} >= {*list_encoders(), *program().FAMILIES.values()}


def test_each_family_of_smp_has_a_row():
    rows = "\n".join(TABLE)
    for name in (name for name in smp_encoders if not name.startswith(("xseg", "python:"))):  # ours, and users'
        family = re.match(r"(timm-)?[a-z_]+", name)[0]  # se_resnext of se_resnext50_32x4d
        assert family in rows, name
