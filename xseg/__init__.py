"""Semantic segmentation with Xception and DeepLabV3+.

Names are imported when they are first used, so that `import xseg` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xseg.version import __version__

_PUBLIC = {
    "LabelMap": "xseg.labels.label_map",
    "Normalization": "xseg.images.normalization",
    "Prediction": "xseg.inference.prediction",
    "Predictor": "xseg.inference.predictor",
    "XsegError": "xseg.errors",
    "Ablation": "xseg.nn.ablation",
    "create_classifier": "xseg.factory",
    "create_encoder": "xseg.factory",
    "create_model": "xseg.factory",
    "list_encoders": "xseg.encoders.variants",
    "load": "xseg.inference.loading",
    "register_smp": "xseg.smp",
}

__all__ = [
    "Ablation",
    "LabelMap",
    "Normalization",
    "Prediction",
    "Predictor",
    "XsegError",
    "__version__",
    "create_classifier",
    "create_encoder",
    "create_model",
    "list_encoders",
    "load",
    "register_smp",
]

if TYPE_CHECKING:
    from xseg.encoders.variants import list_encoders
    from xseg.errors import XsegError
    from xseg.factory import create_classifier, create_encoder, create_model
    from xseg.images.normalization import Normalization
    from xseg.inference.loading import load
    from xseg.inference.prediction import Prediction
    from xseg.inference.predictor import Predictor
    from xseg.labels.label_map import LabelMap
    from xseg.nn.ablation import Ablation
    from xseg.smp import register_smp


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'xseg' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
