"""Semantic segmentation with Xception and DeepLabV3+.

Names are imported when they are first used, so that `import xseg` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xseg.version import __version__

_PUBLIC = {
    "Ablation": "xseg.nn.ablation",
    "DataOptions": "xseg.data.options",
    "DatasetReader": "xseg.data.readers.dataset",
    "LabelMap": "xseg.labels.label_map",
    "LossOptions": "xseg.training.options.recipe",
    "Normalization": "xseg.images.normalization",
    "OptimizerOptions": "xseg.training.options.recipe",
    "Prediction": "xseg.inference.prediction",
    "Predictor": "xseg.inference.predictor",
    "Run": "xseg.api.run",
    "SegmentationData": "xseg.data.loading.datamodule",
    "SegmentationTask": "xseg.training.segmentation",
    "TaskOptions": "xseg.training.options.task",
    "XsegError": "xseg.errors",
    "check_data": "xseg.api.data",
    "create_classifier": "xseg.factory",
    "create_encoder": "xseg.factory",
    "create_model": "xseg.factory",
    "evaluate": "xseg.api.evaluation",
    "export": "xseg.api.export",
    "list_encoders": "xseg.encoders.variants",
    "load": "xseg.inference.loading",
    "register_smp": "xseg.smp",
    "train": "xseg.api.train",
}

__all__ = [
    "Ablation",
    "DataOptions",
    "DatasetReader",
    "LabelMap",
    "LossOptions",
    "Normalization",
    "OptimizerOptions",
    "Prediction",
    "Predictor",
    "Run",
    "SegmentationData",
    "SegmentationTask",
    "TaskOptions",
    "XsegError",
    "__version__",
    "check_data",
    "create_classifier",
    "create_encoder",
    "create_model",
    "evaluate",
    "export",
    "list_encoders",
    "load",
    "register_smp",
    "train",
]

if TYPE_CHECKING:
    from xseg.api.data import check_data
    from xseg.api.evaluation import evaluate
    from xseg.api.export import export
    from xseg.api.run import Run
    from xseg.api.train import train
    from xseg.data.loading.datamodule import SegmentationData
    from xseg.data.options import DataOptions
    from xseg.data.readers.dataset import DatasetReader
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
    from xseg.training.options.recipe import LossOptions, OptimizerOptions
    from xseg.training.options.task import TaskOptions
    from xseg.training.segmentation import SegmentationTask


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'xseg' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
