"""Strided and atrous max-pooling, padded symmetrically or as TensorFlow's SAME."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from xseg.types import Padding


def same_pad_before(size: int, dilation: int) -> int:
    """Return how many rows TensorFlow's SAME puts before `size` rows for a 3-wide window of stride 2.

    SAME pads one row after an even size, and one on either side of an odd one. A dilated map holds `dilation`
    interleaved grids of the stride-2 network; the grid that starts at 0 has ceil(size / dilation) rows, and padding
    must be what that one gets, so that the dense map still contains the coarse one.
    """
    rows = (size + dilation - 1) // dilation
    return dilation * (rows % 2)


class AtrousMaxPool2d(nn.Module):
    """3x3 max-pooling of stride 2, or its dense counterpart of stride 1 with holes.

    Args:
        stride: 2, or 1 where the output stride leaves no room for another halving.
        dilation: distance of the window's samples; 1 for stride 2.
        padding: "symmetric" keeps output pixel i over input pixel `stride * i`; "tf_same" pads like TensorFlow.

    Padding is -inf, over which every value wins: zeros would win over negative features at the border. PyTorch's own
    padding is -inf too, but at most half the kernel, too little for a dilated one.

    Source: the atrous algorithm extended to max-pooling, the alternative that Chen et al. 2018, section 3.2, name.
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
