"""Strided and atrous max-pooling with symmetric or TensorFlow's SAME padding."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from xseg.types import Padding


def same_pad_before(size: int, dilation: int) -> int:
    """Return the number of rows that TensorFlow's SAME adds before `size` rows for a window of 3 and stride 2.

    SAME pads an even size with one row after it, and an odd size with one row on either side. A dilated map holds
    `dilation` interleaved grids of the stride-2 network. The grid that starts at 0 has ceil(size / dilation) rows; the
    padding follows this grid, so that the dense map contains the coarse one.
    """
    rows = (size + dilation - 1) // dilation
    return dilation * (rows % 2)


class AtrousMaxPool2d(nn.Module):
    """3x3 max-pooling with stride 2, or the equivalent dilated pooling with stride 1.

    Args:
        stride: 2, or 1 if the output stride is already reached.
        dilation: distance of the window's samples; 1 for stride 2.
        padding: "symmetric" aligns output pixel i with input pixel `stride * i`; "tf_same" pads like TensorFlow.

    The padding value is -inf, because zeros would exceed negative features at the border. PyTorch also pads with -inf,
    but by at most half the kernel, which is too little with dilation.

    Source: atrous max-pooling, mentioned as an alternative by Chen et al. 2018, section 3.2.
    """

    def __init__(self, *, stride: int, dilation: int, padding: Padding) -> None:
        super().__init__()
        self.stride = stride
        self.dilation = dilation
        self.tf_same = padding == "tf_same"

    def forward(self, features: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        if self.dilation == 1 and not self.tf_same:
            return F.max_pool2d(features, 3, stride=self.stride, padding=1)
        top = left = self.dilation
        bottom = right = self.dilation
        if self.tf_same:
            top = same_pad_before(features.shape[-2], self.dilation)
            left = same_pad_before(features.shape[-1], self.dilation)
            if self.stride == 1:
                bottom, right = 2 * self.dilation - top, 2 * self.dilation - left
        padded = F.pad(features, [left, right, top, bottom], value=float("-inf"))
        return F.max_pool2d(padded, 3, stride=self.stride, dilation=self.dilation)

    def extra_repr(self) -> str:
        """Return the settings, for `print(model)`."""
        return f"stride={self.stride}, dilation={self.dilation}, tf_same={self.tf_same}"
