"""`python docs/programs/encoders.py` prints the table of docs/encoders.md: encoder by architecture, with strides.

Each model is built and run on one small image, as `xseg train` does before it starts. It takes ten minutes or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

import torch

from xseg.encoders.variants import list_encoders
from xseg.errors import ConfigError, ShapeError
from xseg.factory import create_model
from xseg.models.architectures import ARCHITECTURES
from xseg.types import OUTPUT_STRIDES

# the smallest encoder of each of SMP's families, and some of timm's
FAMILIES = {
    "resnet18": "resnet18 to resnet152",
    "resnext50_32x4d": "resnext50_32x4d, resnext101_*",
    "se_resnet50": "se_resnet50 to se_resnet152, se_resnext50_32x4d, se_resnext101_32x4d",
    "senet154": "senet154",
    "densenet121": "densenet121 to densenet161",
    "dpn68": "dpn68 to dpn131",
    "inceptionresnetv2": "inceptionresnetv2",
    "inceptionv4": "inceptionv4",
    "vgg11": "vgg11 to vgg19",
    "vgg11_bn": "vgg11_bn to vgg19_bn",
    "efficientnet-b0": "efficientnet-b0 to efficientnet-b7",
    "timm-efficientnet-b0": "timm-efficientnet-b0 to timm-efficientnet-l2",
    "timm-tf_efficientnet_lite0": "timm-tf_efficientnet_lite0 to timm-tf_efficientnet_lite4",
    "timm-skresnet18": "timm-skresnet18, timm-skresnet34, timm-skresnext50_32x4d",
    "mobilenet_v2": "mobilenet_v2",
    "mobileone_s0": "mobileone_s0 to mobileone_s4",
    "mit_b0": "mit_b0 to mit_b5",
    "tu-resnet18": "tu-resnet18 (timm)",
    "tu-convnext_atto": "tu-convnext_atto to tu-convnext_large (timm)",
    "tu-mobilenetv3_small_050": "tu-mobilenetv3_* (timm)",
    "tu-hrnet_w18_small": "tu-hrnet_* (timm)",
    "tu-pvt_v2_b0": "tu-pvt_v2_* (timm)",
}


@torch.no_grad()
def supported(encoder: str, architecture: str) -> list[int]:
    """Return the output strides at which a model can be built and run."""
    strides = []
    width = 0.125 if encoder in list_encoders() else 1.0  # strides do not depend on it
    for stride in OUTPUT_STRIDES:
        try:
            model = create_model(
                architecture, encoder=encoder, width=width, classes=2, output_stride=stride, decoder_channels=16
            )
            model.eval()(torch.zeros(1, 3, 97, 129))
        except (ConfigError, ShapeError):
            continue
        strides.append(stride)
    return strides


def rows(encoders: Iterable[str]) -> Iterator[str]:
    """Yield the rows of the table for the encoders."""
    for encoder in encoders:
        cells = [", ".join(map(str, supported(encoder, name))) or "–" for name in ARCHITECTURES]
        yield f"| {FAMILIES.get(encoder, encoder)} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, or the rows of the encoders in the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER", help="encoders; all if there are none")
    chosen = parser.parse_args().encoders or [*list_encoders(), *FAMILIES]
    print(f"| encoder | {' | '.join(ARCHITECTURES)} |\n|{' --- |' * (len(ARCHITECTURES) + 1)}")
    for row in rows(chosen):
        print(row, flush=True)


if __name__ == "__main__":
    main()
