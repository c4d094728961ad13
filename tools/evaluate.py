"""`python tools/evaluate.py` is `xseg evaluate`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("evaluate", sys.argv[1:]))
