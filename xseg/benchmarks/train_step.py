"""Time of a training step, compared with SMP's documented usage and with a lower bound of the processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.factory import create_model
from xseg.lab.budget import costs
from xseg.losses.cross_entropy import labelled_cross_entropy
from xseg.training.optimizers import build_optimizer
from xseg.training.options.recipe import OptimizerOptions
from xseg.types import OutputStride

ENCODER, PEER_ENCODER = "xception65", "tu-xception65"
OUTPUT_STRIDE: OutputStride = 16
MIDDLE_CHANNELS = 728  # channels of the convolutions that take most of the time
RATE_REPEATS = 20
Run: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class StepTimes:
    """Times of training steps, measured in turns on one machine.

    Args:
        size: height and width of the images in pixels.
        batch_size: images per step.
        threads: number of PyTorch's threads.
        ours: seconds of each step of xseg, in bfloat16 and channels_last.
        peer: seconds of each step of SMP's DeepLabV3Plus, eager in float32, in the same turns.
        floor: seconds of three forward passes if every operation were as fast as the encoder's pointwise convolution
            of 728 channels in bfloat16.
    """

    size: int
    batch_size: int
    threads: int
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    floor: float

    @property
    def speedup(self) -> float:
        """Median ratio of SMP's time to ours, over the turns."""
        return statistics.median(peer / own for own, peer in zip(self.ours, self.peer, strict=True))

    @property
    def over_floor(self) -> float:
        """Ratio of our median time to the floor."""
        return statistics.median(self.ours) / self.floor


def measure_train_step(*, size: int = 320, batch_size: int = 8, rounds: int = 3, classes: int = 11) -> StepTimes:
    """Time training steps (forward, cross-entropy, backward, optimiser) of DeepLabV3+ with Xception-65 on the CPU.

    Our step equals that of `xseg train` with bf16-mixed: bfloat16, channels_last, fused AdamW. The peer is SMP's
    DeepLabV3Plus with timm's xception65 and the settings of its documentation: float32, Adam. Both have random weights.

    Args:
        size: height and width of the images in pixels, a multiple of 16, as SMP requires.
        batch_size: images per step.
        rounds: timed steps of each, in turns, after an untimed one.
        classes: number of classes.

    Raises:
        ConfigError: if a number is out of range.
    """
    if size < 64 or size % 16 or min(batch_size, rounds, classes) < 1:
        got = f"size={size}, batch_size={batch_size}, rounds={rounds}, classes={classes}"
        expected = "a size of at least 64 that is a multiple of 16, and other values of at least 1"
        raise ConfigError(got, expected=expected)
    import segmentation_models_pytorch as smp

    own = create_model("deeplabv3plus", encoder=ENCODER, classes=classes, output_stride=OUTPUT_STRIDE)
    peer = smp.DeepLabV3Plus(PEER_ENCODER, encoder_weights=None, classes=classes)
    images, mask = torch.randn(batch_size, 3, size, size), torch.randint(classes, (batch_size, size, size))
    ours = _step(
        own.to(memory_format=torch.channels_last),
        build_optimizer(own, OptimizerOptions()),
        images.contiguous(memory_format=torch.channels_last),
        mask,
        autocast=True,
    )
    theirs = _step(peer, torch.optim.Adam(peer.parameters(), lr=1e-4), images, mask, autocast=False)
    times = in_turns((ours, theirs), rounds)
    return StepTimes(size, batch_size, torch.get_num_threads(), *times, forward_floor(size, batch_size) * 3)


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, mask: Tensor, *, autocast: bool
) -> Callable[[], None]:
    model.train()

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            logits = model(images)
        torch.autograd.backward(labelled_cross_entropy(logits, mask, ignore_index=255))
        optimizer.step()

    return run


def forward_floor(size: int, batch_size: int) -> float:
    """Return the seconds of a forward pass at the speed of the middle flow's pointwise convolution, in bfloat16."""
    build = partial(create_model, "deeplabv3plus", encoder=ENCODER, output_stride=OUTPUT_STRIDE)
    _, adds = costs(build, (batch_size, 3, size, size))
    convolution = nn.Conv2d(MIDDLE_CHANNELS, MIDDLE_CHANNELS, 1, bias=False).bfloat16()
    convolution = convolution.to(memory_format=torch.channels_last)
    side = size // OUTPUT_STRIDE
    features = torch.randn(batch_size, MIDDLE_CHANNELS, side, side, dtype=torch.bfloat16)
    features = features.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        fastest = min(_seconds(lambda: convolution(features)) for _ in range(RATE_REPEATS))
    return adds * fastest / (batch_size * side**2 * MIDDLE_CHANNELS**2)


def in_turns(runs: tuple[Run, Run], rounds: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the seconds of two implementations, run in turns, after one untimed run of each."""
    times = [[_seconds(run) for run in runs] for _ in range(rounds + 1)][1:]
    return tuple(own for own, _ in times), tuple(other for _, other in times)


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
