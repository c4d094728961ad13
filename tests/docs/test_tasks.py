"""The pages of docs/tasks work as they are written: their commands run in order in an empty folder, and leave masks.

Files of the checkout (`configs/`, `docs/`) are linked into the folder. A block of Python or YAML whose first line is
`# NAME.SUFFIX` is that file; other blocks of Python run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tasks").glob("*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")


def run(command, folder):
    """Run a command as in a shell of somebody who installed this package."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "XSEG_CACHE": str(folder / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",  # tests run side by side
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_lead_to_masks(page, tmp_path):
    for name in ("configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        named = FILE.match(text)
        if named:
            (tmp_path / named[1]).write_text(text, "utf-8")
        elif language == "bash":
            commands = "\n".join(line for line in text.splitlines() if not line.startswith("pip install"))
            run(["bash", "-euo", "pipefail", "-c", commands], tmp_path)
        elif language == "python":
            run([sys.executable, "-c", text], tmp_path)
        else:
            assert language == "yaml", f"{page.name}: a block that nothing runs"
    masks = [path for path in tmp_path.glob("**/masks/**/*") if path.suffix in (".png", ".tif")]
    assert [path for path in masks if (tmp_path / "data") not in path.parents]


def test_every_page_is_listed_and_every_link_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    texts = {page: page.read_text("utf-8") for page in pages}
    listed = texts[ROOT / "README.md"]
    assert all(f"docs/tasks/{page.name}" in listed for page in PAGES)
    for page, text in texts.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
