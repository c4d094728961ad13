"""`python tools/predict.py` is `xseg predict`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("predict", sys.argv[1:]))
