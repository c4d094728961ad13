"""Encoders for SMP, for use with all its decoders: `smp.Unet("xseg-xception65")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segmentation_models_pytorch import encoders as smp_encoders

from xseg.encoders.variants import VARIANTS
from xseg.errors import ConfigError
from xseg.models.smp_encoders import SmpEncoder
from xseg.weights.catalogue.entries import CATALOGUE, HubFile
from xseg.weights.formats.source import Source
from xseg.weights.load import FIRST_CONVOLUTION, load_encoder_source

PREFIX = "xseg-"  # SMP's own "xception" is another network


class PretrainedEncoder(SmpEncoder):
    """An encoder that loads the weights downloaded by SMP."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load the state of this encoder, or weights of another project from SMP's repository.

        Weights of timm, SMP and others are converted as by `xseg.create_encoder(weights=...)`, for any depth, with
        epsilon and momentum of the batch normalisations.

        Args:
            state_dict: tensors by name.
            strict: whether an own state must match exactly; weights of another project must always fit.
            assign: as in PyTorch, for an own state.

        Returns:
            Missing and unexpected names, as in PyTorch.

        Raises:
            WeightsError: if the weights of another project do not fit. The encoder is unchanged then.
        """
        if FIRST_CONVOLUTION in state_dict:
            return super().load_state_dict(state_dict, strict, assign)
        load_encoder_source(self, Source(f"the state for {PREFIX}{self.name}", dict(state_dict)))
        return super().load_state_dict(self.state_dict())


def pretrained_settings(name: str) -> dict[str, dict[str, str | None]]:
    """Return SMP's settings for the weights of an encoder that are in a Hub repository of the catalogue.

    Args:
        name: name from `xseg.list_encoders()`.
    """
    return {
        selected: {"repo_id": entry.place.repo, "revision": entry.place.revision}
        for entry in CATALOGUE
        if entry.encoder == name and isinstance(entry.place, HubFile)
        for selected in entry.names
    }


def register_smp() -> None:
    """Register all encoders with SMP as "xseg-NAME". Further calls change nothing.

    Raises:
        ConfigError: if another encoder has one of the names.
    """
    for name in VARIANTS:
        entry: dict[str, Any] = {
            "encoder": PretrainedEncoder,
            "pretrained_settings": pretrained_settings(name),
            "params": {"name": name, "width": 1.0},
        }
        known = smp_encoders.encoders.setdefault(PREFIX + name, entry)["encoder"]
        if known is not PretrainedEncoder:
            raise ConfigError(f"SMP already has an encoder {PREFIX + name!r}: {known}", expected="a free name")
