"""Properties of a model and its inference settings, for the head of a report."""

from __future__ import annotations

import torch
from torch import nn

from xseg.inference.predictor import Predictor
from xseg.models.segmentation import SegmentationModel


def summarize_model(predictor: Predictor) -> dict[str, str]:
    """Return properties of the model and its inference settings by readable name."""
    model, options = predictor.model, predictor.options
    models = [*model] if isinstance(model, nn.ModuleList) else [model]
    configs = [one.config for one in models if isinstance(one, SegmentationModel)]
    encoders = [each.encoder if each.width == 1 else f"{each.encoder}, width {each.width:g}" for each in configs]
    summary = {
        "Models": str(len(models)) if len(models) > 1 else "",
        "Architecture": " / ".join(dict.fromkeys(each.architecture for each in configs)),
        "Encoder": " / ".join(dict.fromkeys(encoders)),
        "Output stride": " / ".join(dict.fromkeys(str(each.output_stride) for each in configs)),
    }
    summary = {name: value for name, value in summary.items() if value}
    summary["Parameters"] = f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} million"
    limits = predictor.decision.thresholds
    if limits:
        names = predictor.labels.names if predictor.labels.overlapping else predictor.labels.names[1:]
        summary["Thresholds"] = ", ".join(f"{name} {limit:.3g}" for name, limit in zip(names, limits, strict=True))
    sizes = ", ".join(f"{scale:g}" for scale in options.scales)
    more = (", mirror images" if options.flip else "") + (", quarter turns" if options.rotations else "")
    if options.scales != (1.0,) or more:
        summary["Averaged over"] = f"scales {sizes}{more}"
    summary["Computed in"] = f"{predictor.backend.precision} on {_device_name(predictor.device)}"
    return summary


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
