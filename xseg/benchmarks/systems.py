"""Parameters and speed of the classifiers in the Xception paper, beside the published numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xseg.files.atomic import write_table, write_text
from xseg.lab.budget import costs
from xseg.models.classifier import ClassifierConfig, XceptionClassifier

TABLE_1 = "Chollet 2017, Table 1"
JSON_FILE, TABLE_FILE = "systems.json", "systems.csv"


@dataclass(frozen=True)
class Published:
    """Numbers published in the paper, None if not: accuracies on ImageNet with one crop, and steps/s on 60 K80 GPUs."""

    top1: float | None
    top5: float | None
    parameters: int | None = None
    steps_per_second: float | None = None
    source: str = TABLE_1


@dataclass(frozen=True)
class System:
    """A classifier of 1000 classes."""

    name: str
    build: Callable[[], nn.Module]
    size: int
    published: Published
    implementation: str


def _torchvision(name: str, **settings: bool) -> nn.Module:
    from torchvision.models import get_model

    model: nn.Module = get_model(name, weights=None, **settings)
    return model


def papers_inception_v3() -> nn.Module:
    """Return the Inception V3 with the number of parameters in the paper: 23,626,728.

    This is the network of the first Keras port. The Inception paper's network, as in torchvision, has 23,834,568:

    - Mixed_5c and Mixed_5d pool to 32 channels, like Mixed_5b, not to 64. They give 256 channels, and Mixed_6b reads
      736 instead of 768: 157,184 weights and 64 normalised channels fewer.
    - Mixed_6e reduces to 160 channels before its double 7x7 tower, not to 192: 67,584 weights and 32 channels fewer.
    - Every convolution has a bias in addition to the scale and shift of its normalisation: 17,120 more.

    Source: fchollet/deep-learning-models, `inception_v3.py` at 134615a.
    """
    from torchvision.models import inception as blocks_of

    class BiasedConv2d(blocks_of.BasicConv2d):  # type: ignore[misc]  # torchvision has no types
        """A convolution with a bias, a normalisation and a ReLU."""

        def __init__(self, in_channels: int, out_channels: int, **settings: Any) -> None:
            super().__init__(in_channels, out_channels, **settings)
            self.conv = nn.Conv2d(in_channels, out_channels, bias=True, **settings)

    kinds = (getattr(blocks_of, f"Inception{letter}") for letter in "ABCDE")
    block_a, block_b, block_c, block_d, block_e = (partial(kind, conv_block=BiasedConv2d) for kind in kinds)
    blocks = [BiasedConv2d, block_a, block_b, block_c, block_d, block_e, blocks_of.InceptionAux]
    model: nn.Module = blocks_of.Inception3(aux_logits=False, init_weights=False, inception_blocks=blocks)
    model.Mixed_5c, model.Mixed_5d = block_a(256, pool_features=32), block_a(256, pool_features=32)
    model.Mixed_6a, model.Mixed_6b = block_b(256), block_c(736, channels_7x7=128)
    tower: Any = model.Mixed_6e
    tower.branch7x7dbl_1 = BiasedConv2d(768, 160, kernel_size=1)
    tower.branch7x7dbl_2 = BiasedConv2d(160, 192, kernel_size=(7, 1), padding=(3, 0))
    return model


_INCEPTION = Published(0.782, 0.941, 23_626_728, 31.0, f"{TABLE_1} and 3")
_XCEPTION = Published(0.790, 0.945, 22_855_952, 28.0, f"{TABLE_1} and 3")
_PLAIN_INCEPTION = partial(_torchvision, "inception_v3", aux_logits=False, init_weights=False)
SYSTEMS = (
    System("VGG-16", partial(_torchvision, "vgg16"), 224, Published(0.715, 0.901), "torchvision"),
    System("ResNet-152", partial(_torchvision, "resnet152"), 224, Published(0.770, 0.933), "torchvision"),
    System("Inception V3", _PLAIN_INCEPTION, 299, _INCEPTION, "torchvision, without its auxiliary tower"),
    System("Inception V3, as in the paper", papers_inception_v3, 299, _INCEPTION, "as in the first Keras port"),
    System("Xception", partial(XceptionClassifier, ClassifierConfig()), 299, _XCEPTION, "xseg"),
)


@dataclass(frozen=True)
class SystemRow:
    """Numbers of a classifier: parameters, multiply-adds per image and training steps/s of a batch on this CPU."""

    name: str
    implementation: str
    size: int
    parameters: int
    multiply_adds: int
    steps_per_second: float | None
    batch_size: int
    published_parameters: int | None
    published_top1: float | None
    published_top5: float | None
    published_steps_per_second: float | None
    source: str


def measure_systems(systems: Sequence[System] = SYSTEMS, *, batch_size: int = 2, steps: int = 3) -> list[SystemRow]:
    """Count the parameters and multiply-adds of classifiers, and time training steps of `batch_size` images.

    The number of timed steps, after an untimed one, is `steps`; 0 to count only.
    """
    rows = []
    for system in systems:
        row = SystemRow(
            system.name,
            system.implementation,
            system.size,
            *costs(system.build, (1, 3, system.size, system.size)),
            steps_per_second(system, batch_size=batch_size, steps=steps) if steps else None,
            batch_size,
            system.published.parameters,
            system.published.top1,
            system.published.top5,
            system.published.steps_per_second,
            system.published.source,
        )
        rows.append(row)
    return rows


def steps_per_second(system: System, *, batch_size: int, steps: int) -> float:
    """Return the training steps (forward, backward, SGD with momentum) per second on this CPU."""
    model = system.build().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(batch_size, 3, system.size, system.size)
    targets = torch.arange(batch_size) % 1000
    start = 0.0
    for step in range(steps + 1):
        if step == 1:
            start = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(images), targets))
        optimizer.step()
    return steps / (time.perf_counter() - start)


def table_lines(rows: Sequence[SystemRow]) -> list[str]:
    """Return the table for a terminal, with published numbers marked."""
    lines = [f"{'':<34}{'size':>5}{'parameters':>13}{'multiply-adds':>15}{'steps/s':>9}   published: top-1 / top-5"]
    for row in rows:
        speed = "" if row.steps_per_second is None else f"{row.steps_per_second:.3f}"
        lines.append(
            f"{row.name:<34}{row.size:>5}{row.parameters:>13,}{row.multiply_adds / 1e9:>13.2f} G{speed:>9}   "
            f"{_share(row.published_top1)} / {_share(row.published_top5)} ({row.source})"
        )
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def write_systems(rows: Sequence[SystemRow], folder: Path) -> None:
    """Write systems.csv and systems.json, each completely or not at all."""
    values = [asdict(row) for row in rows]
    write_table(folder / TABLE_FILE, values)
    write_text(folder / JSON_FILE, json.dumps(values, indent=2) + "\n")
