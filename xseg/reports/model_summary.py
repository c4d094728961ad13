"""Properties of a model and its inference settings, for the head of a report."""

from __future__ import annotations

import torch

from xseg.inference.predictor import Predictor
from xseg.models.segmentation import SegmentationModel


def summarize_model(predictor: Predictor) -> dict[str, str]:
    """Return properties of the model and its inference settings by readable name."""
    model, options = predictor.model, predictor.options
    summary = {}
    if isinstance(model, SegmentationModel):
        config = model.config
        encoder = config.encoder if config.width == 1 else f"{config.encoder}, width {config.width:g}"
        summary = {"Architecture": config.architecture, "Encoder": encoder, "Output stride": str(config.output_stride)}
    summary["Parameters"] = f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} million"
    sizes = ", ".join(f"{scale:g}" for scale in options.scales)
    summary["Averaged over"] = f"scales {sizes}{' and mirror images' if options.flip else ''}"
    if options.scales == (1.0,) and not options.flip:
        del summary["Averaged over"]
    summary["Computed in"] = f"{predictor.backend.precision} on {_device_name(predictor.device)}"
    return summary


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
