"""Sizes are printed as height x width everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import xseg

BACKWARDS = re.compile(r"\{[\w.]*(width|columns)[^}]*\}\s*[x×]\s*\{[\w.]*(height|rows)|width (x|×|by) height")


def test_no_message_prints_a_size_backwards():
    files = sorted(Path(xseg.__file__).parent.rglob("*.py"))
    found = [file.name for file in files if BACKWARDS.search(file.read_text(encoding="utf-8"))]
    assert len(files) > 200
    assert not found
    assert BACKWARDS.search("f'{image.width}x{image.height}'"), "the pattern finds what it is for"
