"""Check the README's claims about the demo: mIoU over 0.7 on unseen scenes, masks and a report."""

import json
import sys
from pathlib import Path

root = Path(sys.argv[1])
scores = json.loads((root / "metrics.json").read_text())
predictions = sorted((root / "predictions" / "masks").rglob("*.png"))
print(f"demo: mIoU {scores['miou']:.3f} on unseen scenes, {len(predictions)} masks")
if scores["miou"] <= 0.7 or not predictions or not (root / "report.html").is_file():
    sys.exit("the demo does not meet the README's claims: mIoU over 0.7, masks and report.html")
