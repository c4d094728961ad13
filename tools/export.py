"""`python tools/export.py` is `xseg export`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("export", sys.argv[1:]))
