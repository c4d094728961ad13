"""The encoders under SMP's names, so that every SMP decoder can use them: `smp.Unet("xseg-xception65")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segmentation_models_pytorch import encoders as smp_encoders

from xseg.encoders.variants import VARIANTS
from xseg.errors import ConfigError
from xseg.models.smp_adapter import SmpEncoder
from xseg.weights.catalogue.entries import CATALOGUE, HubFile
from xseg.weights.formats.source import Source
from xseg.weights.load import FIRST_CONVOLUTION, load_encoder_source

PREFIX = "xseg-"  # SMP's own "xception" is another network


class PretrainedEncoder(SmpEncoder):
    """An encoder that takes the weights that SMP fetches for it."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load this encoder's own state, or that of another project: SMP passes what its repository holds.

        Weights of timm, SMP and others are converted as `xseg.create_encoder(weights=...)` does it, whatever the
        depth; epsilon and momentum of the batch normalisations come along.

        Args:
            state_dict: names to tensors.
            strict: False for PyTorch's lax loading of an own state; another project's must always fit.
            assign: as PyTorch has it, for an own state.

        Returns:
            The missing and unexpected names, as PyTorch gives them.

        Raises:
            WeightsError: if the weights of another project do not fit. The encoder is unchanged then.
        """
        if FIRST_CONVOLUTION in state_dict:
            return super().load_state_dict(state_dict, strict, assign)
        load_encoder_source(self, Source(f"the state for {PREFIX}{self.name}", dict(state_dict)))
        return super().load_state_dict(self.state_dict())


def pretrained_settings(name: str) -> dict[str, dict[str, str | None]]:
    """Return where SMP finds an encoder's weights: those of the catalogue that are in SMP's form, a Hub repository.

    Args:
        name: of `xseg.list_encoders()`.
    """
    return {
        selected: {"repo_id": entry.place.repo, "revision": entry.place.revision}
        for entry in CATALOGUE
        if entry.encoder == name and isinstance(entry.place, HubFile)
        for selected in entry.names
    }


def register_smp() -> None:
    """Add every encoder to SMP as "xseg-NAME". Calling it again changes nothing.

    Raises:
        ConfigError: if one of the names is taken by something else.
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
