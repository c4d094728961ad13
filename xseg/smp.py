"""The encoders under SMP's names, so that every SMP decoder can use them: `smp.Unet("xseg-xception65")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segmentation_models_pytorch import encoders as smp_encoders
from torch import nn

from xseg.encoders.variants import VARIANTS, encoder_spec
from xseg.encoders.xception import INIT_STD, XceptionEncoder
from xseg.errors import ConfigError
from xseg.nn.initialization import initialize
from xseg.types import OutputStride
from xseg.weights.catalogue.entries import CATALOGUE, HubFile
from xseg.weights.formats.source import Source
from xseg.weights.in_channels import repeat_kernels
from xseg.weights.load import FIRST_CONVOLUTION, load_encoder_source

PREFIX = "xseg-"  # SMP's own "xception" is another network


class SmpEncoder(XceptionEncoder):
    """An encoder with the methods that SMP calls after building one.

    Args:
        name: of `xseg.list_encoders()`.
        width: multiplier of the channels, rounded to 8.
        depth: number of maps after the input.
        output_stride: SMP passes it on; the encoder is built at it, nothing is patched afterwards.
    """

    def __init__(self, name: str, width: float, depth: int = 5, output_stride: OutputStride = 32) -> None:
        super().__init__(encoder_spec(name).scaled(width), depth=depth, output_stride=output_stride)

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

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Rebuild the first convolution for images of `in_channels` channels, as SMP does.

        With `pretrained`, its kernels are repeated over the channels and scaled so that the response to a grey image
        stays what it was; one channel gets their sum.
        """
        if in_channels == self.in_channels:
            return
        first = self.stem.conv1.conv
        fresh = nn.Conv2d(in_channels, first.out_channels, 3, stride=2, padding=1, bias=False).to(first.weight)
        initialize(fresh, depthwise=INIT_STD, pointwise=INIT_STD)
        if pretrained:
            fresh.weight.data.copy_(repeat_kernels(first.weight.data, in_channels))
        self.stem.conv1.conv = fresh
        self.in_channels = in_channels
        self.out_channels[0] = in_channels

    def make_dilated(self, output_stride: int) -> None:
        """Confirm the output stride that the encoder was built with.

        Raises:
            ConfigError: if it is another one.
        """
        if min(output_stride, 2**self.depth) != self.output_stride:
            raise ConfigError(
                f"make_dilated({output_stride}) of an encoder of output stride {self.output_stride}",
                expected="the output stride it was built with",
                remedy="pass output_stride when building it",
            )


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


def register_encoder(name: str, width: float = 1.0) -> str:
    """Add one encoder to SMP, if it is not there yet.

    Returns:
        Its name there: "xseg-NAME", or "xseg-NAME@WIDTH" where the channels are multiplied.

    Raises:
        ConfigError: if that name is taken by something else.
    """
    registered = PREFIX + name + ("" if width == 1 else f"@{width:g}")
    entry: dict[str, Any] = {
        "encoder": SmpEncoder,
        "pretrained_settings": pretrained_settings(name) if width == 1 else {},
        "params": {"name": name, "width": width},
    }
    known = smp_encoders.encoders.setdefault(registered, entry)
    if known["encoder"] is not SmpEncoder:
        raise ConfigError(f"SMP already has an encoder {registered!r}: {known['encoder']}", expected="a free name")
    return registered


def register_smp() -> None:
    """Add every encoder to SMP as "xseg-NAME". Calling it again changes nothing.

    Raises:
        ConfigError: if one of the names is taken by something else.
    """
    for name in VARIANTS:
        register_encoder(name)
