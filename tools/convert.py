"""`python tools/convert.py` is `xseg convert`, for people who run from a checkout."""

import sys

from xseg.cli import run

if __name__ == "__main__":
    sys.exit(run("convert", sys.argv[1:]))
