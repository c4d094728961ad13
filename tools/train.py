"""`python tools/train.py` is `xseg train`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:]))
