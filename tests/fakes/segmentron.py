"""SegmenTron's DeepLabV3+ on Xception-65, restated: the same names and the same arithmetic, nothing of this project."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def norm(channels, eps):
    return nn.BatchNorm2d(channels, eps=eps)


class Separable(nn.Module):
    def __init__(self, inside, outside, stride=1, dilation=1, relu_first=True, eps=1e-3):
        super().__init__()
        parts = OrderedDict()
        if relu_first:
            parts["relu"] = nn.ReLU()
        parts["depthwise"] = nn.Conv2d(inside, inside, 3, stride, dilation, dilation, groups=inside, bias=False)
        parts["bn_depth"] = norm(inside, eps)
        if not relu_first:
            parts["relu1"] = nn.ReLU()
        parts["pointwise"] = nn.Conv2d(inside, outside, 1, bias=False)
        parts["bn_point"] = norm(outside, eps)
        if not relu_first:
            parts["relu2"] = nn.ReLU()
        self.block = nn.Sequential(parts)

    def forward(self, x):
        return self.block(x)


class Block(nn.Module):
    def __init__(self, channels, stride=1, dilation=1, skip="conv", relu_first=True):
        super().__init__()
        self.skip = skip
        if skip == "conv":
            self.conv = nn.Conv2d(channels[0], channels[3], 1, stride, bias=False)
            self.bn = norm(channels[3], 1e-3)
        for index in range(3):
            conv = Separable(channels[index], channels[index + 1], stride if index == 2 else 1, dilation, relu_first)
            setattr(self, f"sep_conv{index + 1}", conv)

    def forward(self, x):
        self.tap = self.sep_conv2(self.sep_conv1(x))
        y = self.sep_conv3(self.tap)
        if self.skip == "conv":
            return y + self.bn(self.conv(x))
        return y + x if self.skip == "sum" else y


class Encoder(nn.Module):
    def __init__(self, output_stride):
        super().__init__()
        stride3, middle, exits, exit_stride = {
            32: (2, 1, (1, 1), 2), 16: (2, 1, (1, 2), 1), 8: (1, 2, (2, 4), 1)
        }[output_stride]  # fmt: skip
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), norm(32, 1e-3)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False), norm(64, 1e-3)
        self.block1 = Block([64, 128, 128, 128], 2)
        self.block2 = Block([128, 256, 256, 256], 2)
        self.block3 = Block([256, 728, 728, 728], stride3)
        for index in range(4, 20):
            setattr(self, f"block{index}", Block([728] * 4, dilation=middle, skip="sum"))
        self.block20 = Block([728, 728, 1024, 1024], exit_stride, exits[0])
        self.block21 = Block([1024, 1536, 1536, 2048], dilation=exits[1], skip="none", relu_first=False)

    def forward(self, x):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        for index in range(1, 22):
            x = getattr(self, f"block{index}")(x)
        taps = [getattr(self, f"block{index}").tap for index in (1, 2, 3, 20)]
        return [*taps, x]


def pooled(inside, outside):
    parts = [("gap", nn.AdaptiveAvgPool2d(1)), ("conv", nn.Conv2d(inside, outside, 1, bias=False))]
    return nn.Sequential(OrderedDict([*parts, ("bn", norm(outside, 1e-5)), ("relu", nn.ReLU())]))


class ASPP(nn.Module):
    def __init__(self, rates):
        super().__init__()
        parts = [("conv", nn.Conv2d(2048, 256, 1, bias=False)), ("bn", norm(256, 1e-5)), ("relu", nn.ReLU())]
        self.aspp0 = nn.Sequential(OrderedDict(parts))
        for index, rate in enumerate(rates, 1):
            setattr(self, f"aspp{index}", Separable(2048, 256, dilation=rate, relu_first=False, eps=1e-5))
        self.image_pooling = pooled(2048, 256)
        self.conv, self.bn = nn.Conv2d(1280, 256, 1, bias=False), norm(256, 1e-5)

    def forward(self, x):
        image = F.interpolate(self.image_pooling(x), x.shape[2:], mode="bilinear", align_corners=True)
        branches = [image, self.aspp0(x), self.aspp1(x), self.aspp2(x), self.aspp3(x)]
        return F.relu(self.bn(self.conv(torch.cat(branches, 1))))


class Projection(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(256, 48, 1, bias=False), norm(48, 1e-5)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Head(nn.Module):
    def __init__(self, classes, rates):
        super().__init__()
        self.aspp, self.c1_block = ASPP(rates), Projection()
        first = Separable(304, 256, relu_first=False, eps=1e-5)
        self.block = nn.Sequential(first, Separable(256, 256, relu_first=False, eps=1e-5), nn.Conv2d(256, classes, 1))

    def forward(self, low, high):
        high = F.interpolate(self.aspp(high), low.shape[2:], mode="bilinear", align_corners=True)
        return self.block(torch.cat([high, self.c1_block(low)], 1))


class SegmenTron(nn.Module):
    """DeepLabV3+ as `configs/cityscapes_deeplabv3_plus.yaml` builds it, with the auxiliary head that training adds."""

    def __init__(self, classes=19, output_stride=16):
        super().__init__()
        self.encoder = Encoder(output_stride)
        self.head = Head(classes, (12, 24, 36) if output_stride == 8 else (6, 12, 18))
        self.auxlayer = nn.Sequential(nn.Conv2d(728, 182, 3, padding=1, bias=False), norm(182, 1e-5))

    def forward(self, x):
        maps = self.encoder(x)
        logits = F.interpolate(self.head(maps[1], maps[4]), x.shape[2:], mode="bilinear", align_corners=True)
        return {**{str(level): value for level, value in enumerate(maps, 1)}, "logits": logits}
