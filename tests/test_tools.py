"""The programs beside the package: doors to the verbs, and programs that make figures and tables of the docs."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from xseg.cli import VERBS

ROOT = Path(__file__).parents[1]
DOORS = sorted((ROOT / "tools").glob("*.py"))
PROGRAMS = sorted((ROOT / "docs" / "programs").glob("*.py"))


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.stem)
def test_a_tool_is_a_door_of_a_few_lines_to_the_verb_of_its_name(path):
    assert path.stem in VERBS
    text = path.read_text()
    assert len(text.splitlines()) <= 15
    assert f'run("{path.stem}", sys.argv[1:])' in text
    assert path.name in text.splitlines()[0]


def test_a_tool_gives_its_arguments_to_the_verb_and_returns_the_exit_status():
    door = [sys.executable, str(ROOT / "tools" / "convert.py"), "--no_such_option"]
    done = subprocess.run(door, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("xseg convert: error: ")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_of_the_docs_imports_what_is_there(path):
    names = runpy.run_path(str(path), run_name=path.stem)  # its imports, without what it does as a program
    assert f"docs/programs/{path.name}" in names["__doc__"]
