"""Where the package keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """Return the folder of a kind of files: below `XSEG_CACHE`, or below the user's own cache."""
    chosen = os.environ.get("XSEG_CACHE")
    root = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xseg"
    return root / kind
