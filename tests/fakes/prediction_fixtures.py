"""A model whose answers are known: each pixel belongs to the class of its brightest channel."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.decision import PLAIN, Decision
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("red", "green", "blue"), ((200, 0, 0), (0, 180, 0), (0, 0, 220)))


class BrightestChannel(nn.Module):
    """Logits are the normalised channels, sharpened; remembers the sizes of its inputs."""

    def __init__(self, output_stride: int = 16):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(4.0))
        self.output_stride = output_stride
        self.config = SimpleNamespace(output_stride=output_stride)
        self.seen = []

    def with_output_stride(self, output_stride):
        other = BrightestChannel(output_stride)
        other.weight = self.weight
        return other

    def forward(self, images):
        self.seen.append((tuple(images.shape), self.training, torch.is_inference_mode_enabled()))
        return images * self.weight


@dataclass(frozen=True)
class FakeBundle:
    """What a predictor reads of a bundle."""

    model: nn.Module
    labels: LabelMap
    normalization: Normalization
    decision: Decision = PLAIN


@pytest.fixture
def bundle():
    return FakeBundle(BrightestChannel().train(), LABELS, Normalization())


@pytest.fixture
def predictor(bundle):
    return Predictor.from_bundle(bundle, InferenceOptions(device="cpu", batch_size=2))


@pytest.fixture
def labels():
    return LABELS


@pytest.fixture
def photo():
    """Return a function that makes a random (height, width, 3) uint8 image."""

    def make(height=9, width=13, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture
def folder(tmp_path, photo):
    """A folder of four good images of two sizes, one truncated, one that is text, and something else."""
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "sub/a.png")):
        Image.fromarray(photo(seed=seed)).save(images / name)
    Image.fromarray(photo(20, 10, seed=9)).save(images / "c.png")
    (images / "broken.png").write_bytes((images / "a.png").read_bytes()[:150])
    (images / "text.jpg").write_text("no image")
    (images / "notes.txt").write_text("not to be predicted on")
    return images
