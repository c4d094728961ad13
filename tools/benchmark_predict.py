"""`python tools/benchmark_predict.py MODEL IMAGES` measures how fast predictions are."""

import sys

from xseg.cli.benchmark.predict import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
