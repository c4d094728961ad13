"""`python docs/programs/draw_classes.py FOLDER` draws shapes in clutter as folders of classes."""

import argparse
from pathlib import Path

from xseg.data.generated.drawings import SHAPES, DrawnClasses, write_drawings


def main() -> None:
    """Draw train/CLASS/*.png and val/CLASS/*.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=2000, help="training images, over all classes")
    parser.add_argument("--val", type=int, default=400, help="validation images, over all classes")
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--classes", nargs="+", choices=SHAPES, default=["ring", "star"], metavar="SHAPE")
    options = parser.parse_args()
    write_drawings(options.folder, DrawnClasses((options.train, options.val), options.size, tuple(options.classes)))


if __name__ == "__main__":
    main()
