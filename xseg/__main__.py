"""`python -m xseg` is `xseg`."""

import sys

from xseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
