"""Check what the README promises of the demo: a mIoU over 0.7 on scenes it was not trained on, and its files."""

import json
import sys
from pathlib import Path

root = Path(sys.argv[1])
scores = json.loads((root / "metrics.json").read_text())
predictions = sorted((root / "predictions" / "masks").rglob("*.png"))
print(f"demo: mIoU {scores['miou']:.3f} on unseen scenes, {len(predictions)} masks")
if scores["miou"] <= 0.7 or not predictions or not (root / "report.html").is_file():
    sys.exit("the demo did not reach what the README promises")
