"""`python tools/demo.py` is `xseg demo`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("demo", sys.argv[1:]))
