"""Bilinear resizing against linear interpolation of rows, then of columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from xseg.nn.resize import resize


def slow_resize(image, height, width):
    """Interpolate between the samples of a (h, w) array, the corners of which stay corners."""
    h, w = image.shape
    rows, columns = np.linspace(0, h - 1, height), np.linspace(0, w - 1, width)
    wide = np.stack([np.interp(columns, np.arange(w), row) for row in image])
    return np.stack([np.interp(rows, np.arange(h), column) for column in wide.T], axis=1)


@pytest.mark.parametrize("size", [(5, 4), (1, 6), (3, 1), (1, 1)])
@pytest.mark.parametrize("target", [(9, 13), (2, 7), (3, 2), (8, 4)])
def test_it_interpolates_between_corners_that_stay_corners(size, target):
    torch.manual_seed(0)
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = [slow_resize(channel.numpy(), *target) for image in features for channel in image]
    assert_close(resize(features, *target).flatten(0, 1), torch.from_numpy(np.stack(expected)))


def test_a_map_of_the_size_is_handed_back_untouched_and_others_are_not():
    features = torch.randn(1, 2, 4, 7)
    assert resize(features, 4, 7) is features
    for target in ((9, 7), (4, 5), (7, 4)):
        assert_close(torch.jit.script(resize)(features, *target), resize(features, *target))
        assert resize(features, *target).shape[-2:] == target
