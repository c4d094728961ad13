from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xseg.inference.tta import averaged_probabilities, scaled


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 17, 33, generator=torch.Generator().manual_seed(1))


def bilinear(maps, height, width):
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=True)


def by_hand(model, images, scales, flip):
    """Every view written out: resize, mirror, run, mirror back, resize back, softmax; then the plain mean."""
    height, width = images.shape[-2:]
    views = []
    for scale in scales:
        for mirrored in (False, True) if flip else (False,):
            view = bilinear(images, int((height - 1) * scale + 1), int((width - 1) * scale + 1))
            logits = model(torch.flip(view, [3])) if mirrored else model(view)
            logits = torch.flip(logits, [3]) if mirrored else logits
            views.append(torch.softmax(bilinear(logits, height, width), dim=1))
    return torch.stack(views).mean(0)


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.75), (2.0,)])
def test_it_is_the_mean_of_the_softmax_of_every_view(model, images, scales, flip):
    averaged = averaged_probabilities(model, images, scales=scales, flip=flip)
    torch.testing.assert_close(averaged, by_hand(model, images, scales, flip))
    torch.testing.assert_close(averaged.sum(1), torch.ones(2, 17, 33))


@torch.no_grad()
def test_with_mirror_images_a_mirrored_image_gives_the_mirrored_answer(model, images):
    straight = averaged_probabilities(model, images, scales=(1.0, 0.5), flip=True)
    mirrored = averaged_probabilities(model, images.flip(-1), scales=(1.0, 0.5), flip=True)
    torch.testing.assert_close(mirrored.flip(-1), straight)
    alone = averaged_probabilities(model, images.flip(-1), scales=(1.0,), flip=False).flip(-1)
    assert (alone - averaged_probabilities(model, images, scales=(1.0,), flip=False)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("size", "scale", "expected"), [(513, 0.5, 257), (513, 1.75, 897), (513, 1.0, 513), (360, 0.75, 270), (1, 0.5, 1)]
)
def test_sizes_of_stride_times_k_plus_one_keep_that_form(size, scale, expected):
    assert scaled(size, scale) == expected


def test_no_scale_at_all_is_refused(model, images):
    with pytest.raises(ValueError, match=r"scales=\(\)"):
        averaged_probabilities(model, images, scales=(), flip=False)
