"""`python tools/parity.py` compares every origin's network with ours and writes docs/parity.md."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[1] / "tests/fakes/parity_table.py"), run_name="__main__")
