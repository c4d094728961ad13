"""The programs beside the package still find what they use of it."""

import runpy
from pathlib import Path

import pytest

TOOLS = sorted((Path(__file__).parents[1] / "tools").glob("*.py"))


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_a_tool_imports_what_is_there(path):
    names = runpy.run_path(str(path), run_name=path.stem)  # its imports, without what it does as a program
    assert path.name in names["__doc__"]
