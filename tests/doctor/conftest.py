"""Makes faults.py importable from the tests, which are no package; fixtures: see tests/fakes."""

from __future__ import annotations

import sys
from pathlib import Path

from data_fixtures import camvid_root, folders, make_folders, save_fixture, scenes_root

sys.path.insert(0, str(Path(__file__).parent))
