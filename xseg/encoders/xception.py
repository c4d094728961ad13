"""Builder of all Xception encoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from xseg.encoders.block import Stem, XceptionBlock
from xseg.encoders.spec import MAX_DEPTH, EncoderSpec, plan_strides
from xseg.errors import ShapeError, require
from xseg.nn.initialization import initialize
from xseg.types import OUTPUT_STRIDES, OutputStride, Padding

INIT_STD = 0.09  # TF DeepLab xception.py, xception_arg_scope: weights_initializer_stddev


class Encoder(nn.Module):
    """A network from images (N, in_channels, H, W) to a list of feature maps, starting with the images or finest map.

    Attributes:
        name: name of the encoder.
        depth: number of maps after the first.
        in_channels: number of image channels.
        output_stride: ratio of the image size to the size of the last map.
        strides: ratio of the image size to the size of each map.
        out_channels: channels of each map.
        multiple: number of which height and width of images must be multiples. If it is 1, a map has
            ceil(size / stride) rows and columns, and its pixel i is aligned with pixel stride * i of the image.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations in a class body, and does not support these
        name: str
        depth: int
        in_channels: int
        output_stride: int
        strides: list[int]
        out_channels: list[int]
        multiple: int


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch normalisations use the statistics of the batch without updating the running ones.

    Momentum 0 leaves the running statistics unchanged, and the graph equal to that of the first run.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


class XceptionEncoder(Encoder):
    """An Xception without its classifier, at any output stride.

    Args:
        spec: table of the encoder.
        in_channels: number of image channels.
        depth: number of feature maps after the input, 1 to 5; a shallower encoder has fewer blocks.
        output_stride: ratio of the image size to the size of the last map: 4, 8, 16 or 32; at most 2**depth is used.
        padding: "symmetric" aligns pixel i of every map with pixel stride * i of the image. "tf_same" pads like Keras:
            VALID stem and SAME pooling for the original Xception; a SAME first convolution for the aligned ones, as in
            Keras ports (TF DeepLab itself pads symmetrically).

    The parameters and buffers have the same names and shapes at every output stride.

    Raises:
        ConfigError: if an argument is out of range.
    """

    # Attributes that SMP reads before it scripts, exports or compiles a model.
    _is_torch_scriptable = True
    _is_torch_exportable = True
    _is_torch_compilable = True

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: OutputStride = 32,
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        require(output_stride in OUTPUT_STRIDES, f"output_stride={output_stride}", "4, 8, 16 or 32")
        require(padding in ("symmetric", "tf_same"), f"padding={padding!r}", "'symmetric' or 'tf_same'")
        require(in_channels >= 1, f"in_channels={in_channels}", "1 or more")
        spec = spec.truncated(depth)
        self.name = spec.name
        self.depth = depth
        self.in_channels = in_channels
        self.output_stride = min(output_stride, 2**depth)
        # Channels and strides of the maps that `forward` returns, including the images.
        self.strides = [min(2**level, self.output_stride) for level in range(depth + 1)]
        self.multiple = 1
        self.padding = padding
        self.out_channels = [in_channels, *spec.channels[:depth]]
        self.grad_checkpointing = False
        self.stem = Stem(in_channels, spec=spec, padding=padding)
        grids = plan_strides(spec.strides, self.output_stride)
        inputs = (spec.stem[1], *(stage.widths[-1] for stage in spec.stages))
        self.blocks = nn.ModuleList(
            XceptionBlock(inputs[index], stage, grids[index], spec=spec, padding=padding)
            for index, stage in enumerate(spec.stages)
        )
        preactivated = spec.norm == "first" and depth == MAX_DEPTH
        self.activation = nn.ReLU() if preactivated else nn.Identity()
        initialize(self, depthwise=INIT_STD, pointwise=INIT_STD)

    @torch.jit.unused
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory while training: blocks are computed again in the backward pass."""
        self.grad_checkpointing = enable

    @torch.jit.unused
    def _check_shape(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            got = f"images of shape {list(images.shape)}"
            raise ShapeError(got, expected=f"(N, {self.in_channels}, height, width)")

    @torch.jit.unused
    def _run_checkpointed(self, block: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
        """Run a block without storing its activations; the backward pass computes them again.

        The second run must not count the batch again in the running statistics, or training with checkpointing would
        give other weights than without.
        """
        output, tap = checkpoint(
            block, features, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_running_statistics(block))
        )
        return output, tap

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps of normalised images.

        Args:
            images: normalised images, (N, in_channels, H, W) float, with H and W from 33.

        Returns:
            The images and `depth` maps at strides 1, 2, 4, 8, 16, 32, limited by the output stride; with symmetric
            padding each has ceil(size / stride) rows and columns. Intermediate maps are normalised but not activated;
            the last map of a full-depth encoder is the output of the final ReLU.

        Raises:
            ShapeError: if the images have another number of channels.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check_shape(images)
        features = [images]
        hidden = self.stem(images)
        for block in self.blocks:
            if self.grad_checkpointing and self.training and not torch.jit.is_scripting():  # type: ignore[attr-defined]
                hidden, tap = self._run_checkpointed(block, hidden)
            else:
                hidden, tap = block(hidden)
            if block.tapped:
                features.append(tap)
        features.append(self.activation(hidden))
        return features
