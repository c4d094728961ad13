"""`python -m xseg` is `xseg`."""

import sys

from xseg.cli import main

sys.exit(main())
