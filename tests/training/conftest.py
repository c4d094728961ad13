import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("training_tiny", Path(__file__).with_name("tiny.py"))
_tiny = importlib.util.module_from_spec(_spec)
sys.modules["training_tiny"] = _tiny
_spec.loader.exec_module(_tiny)


@pytest.fixture
def tiny():
    """What the tests of this folder share: see tiny.py."""
    return _tiny
