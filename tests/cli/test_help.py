from __future__ import annotations

import subprocess
import sys

import pytest

from xseg.cli import VERBS, load_verb, summary_of, usage
from xseg.version import __version__

ACTIONS = [["data", action] for action in ("check", "stats", "preview")]
ACTIONS += [["benchmark", study] for study in ("predict", "systems", "train_step")]


def imported_by(arguments):
    """Return the top-level names of the modules that a command imports."""
    code = f"import sys; from xseg.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass\n"
    code += "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split())


def test_the_help_shows_the_first_line_of_each_verbs_docstring_and_imports_no_verb():
    for verb in VERBS:
        assert summary_of(verb) == load_verb(verb).__doc__.splitlines()[0]
        assert summary_of(verb) in usage()
    assert not {"jsonargparse", "yaml", "numpy", "torch"} & imported_by(["--help"])


@pytest.mark.parametrize("command", [*[[verb] for verb in VERBS], *ACTIONS], ids=" ".join)
def test_the_help_of_a_verb_imports_nothing_heavy(command):
    """Each of these costs a third of a second or more."""
    assert not {"torch", "numpy", "cv2", "PIL", "lightning", "albumentations", "rich"} & imported_by(
        [*command, "--help"]
    )


def test_importing_the_module_that_runs_as_a_program_runs_nothing():
    code = "import xseg.__main__; print('imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "imported\n")
    done = subprocess.run([sys.executable, "-m", "xseg", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"xseg {__version__}\n")
