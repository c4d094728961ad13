from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from xseg.errors import ConfigError
from xseg.inference.averaging import averaged_probabilities, compute_scores, scaled
from xseg.inference.options import InferenceOptions
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 17, 33, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def deeplab(settled, waves):
    torch.manual_seed(0)
    config = ModelConfig(encoder="xception", classes=4, width=0.125, depth=3, decoder_channels=16)
    return settled(build_model(config), waves(2, 3, 65, 65))


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


def as_tensorflow(model, images, scales, flip):
    """TF DeepLab's `predict_labels_multi_scale` and `multi_scale_logits`, in their order and with their names."""
    height, width = images.shape[-2:]
    outputs_to_predictions = []
    for image_scale in scales:
        logits_height = int((height - 1.0) * (max(1.0, image_scale) / 4) + 1.0)
        logits_width = int((width - 1.0) * (max(1.0, image_scale) / 4) + 1.0)
        scaled_images = bilinear(images, int((height - 1.0) * image_scale + 1), int((width - 1.0) * image_scale + 1))
        for add_flipped_images in (False, True) if flip else (False,):
            view = torch.flip(scaled_images, [3]) if add_flipped_images else scaled_images
            features = model.encoder(view)
            logits = model.segmentation_head(model.decoder(features[2], features[-1]))
            logits = bilinear(logits, logits_height, logits_width)
            logits = torch.flip(logits, [3]) if add_flipped_images else logits
            outputs_to_predictions.append(torch.softmax(bilinear(logits, height, width), dim=1))
    return torch.stack(outputs_to_predictions).mean(0)


def both_ways(model, images, tolerance=1e-5, **averaging):
    """The average in torch, and by strips."""
    network, options = CoarseNetwork(model), InferenceOptions(**averaging)
    averaged = averaged_probabilities(network, network, images, options=options)
    scores = compute_scores(network, network, images, options=options)
    by_strips = torch.from_numpy(np.stack([score.probabilities() for score in scores]))
    torch.testing.assert_close(by_strips, averaged, atol=tolerance, rtol=10 * tolerance)
    return averaged


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.75), (2.0,)])
def test_it_is_the_mean_of_the_softmax_of_every_view(model, images, scales, flip):
    averaged = both_ways(model, images, scales=scales, flip=flip)
    torch.testing.assert_close(averaged, by_hand(model, images, scales, flip))
    torch.testing.assert_close(averaged.sum(1), torch.ones(2, 17, 33))


@torch.no_grad()
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 0.75, 1.0, 1.25, 1.75)])
@pytest.mark.parametrize("size", [(65, 81), (72, 90)])
def test_deeplab_resizes_its_logits_as_tensorflow_does(deeplab, waves, scales, size):
    images = waves(1, 3, *size)
    assert CoarseNetwork(deeplab).stride == 4
    averaged = both_ways(deeplab, images, scales=scales, flip=True)
    torch.testing.assert_close(averaged, as_tensorflow(deeplab, images, scales, True), atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["deeplabv3plus", "unet", "fpn", "smp_deeplabv3plus"])
def test_one_view_is_the_models_own_answer(architecture, settled, waves):
    torch.manual_seed(0)
    stride = 16 if "deeplab" in architecture else 32
    config = ModelConfig(architecture, encoder="xception", classes=4, width=0.125, output_stride=stride)
    network = settled(build_model(config), waves(2, 3, 65, 65))
    images = waves(2, 3, 70, 101)
    probabilities = both_ways(network, images)
    torch.testing.assert_close(probabilities, network(images).softmax(1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_images_below_the_smallest_size_are_padded_and_cut(deeplab, waves):
    for size in ((1, 1), (5, 70)):
        # A padded view of another scale is resized twice in torch, to cut off the padding, and once by strips.
        averaged = both_ways(deeplab, waves(1, 3, *size), tolerance=1e-3, scales=(1.0, 0.5), flip=True)
        assert averaged.shape == (1, 4, *size)


@torch.no_grad()
def test_with_mirror_images_a_mirrored_image_gives_the_mirrored_answer(model, images):
    straight = both_ways(model, images, scales=(1.0, 0.5), flip=True)
    mirrored = both_ways(model, images.flip(-1), scales=(1.0, 0.5), flip=True)
    torch.testing.assert_close(mirrored.flip(-1), straight)
    alone = both_ways(model, images.flip(-1), flip=False).flip(-1)
    assert (alone - both_ways(model, images, flip=False)).abs().max() > 1e-3


def turned(maps, turns):
    return torch.rot90(maps, turns, (-2, -1))


@torch.no_grad()
@settings(deadline=None, max_examples=40)
@given(
    # from 3: a side that is one pixel at half the size would show one end
    st.integers(3, 40),
    st.integers(3, 40),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([(1.0,), (0.5, 1.0, 1.5)]),
)
def test_with_all_turns_a_turned_image_gives_the_turned_answer_of_any_model(height, width, turns, flip, scales):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 3, padding=1)).eval()
    images = torch.randn(1, 2, height, width)
    straight = both_ways(model, images, scales=scales, flip=flip, rotations=True)
    answer = both_ways(model, turned(images, turns), scales=scales, flip=flip, rotations=True)
    torch.testing.assert_close(turned(answer, -turns), straight, atol=1e-5, rtol=1e-4)
    assert straight.shape == (1, 3, height, width)


@torch.no_grad()
@pytest.mark.parametrize("size", [(17, 17), (12, 31)])
def test_turns_change_nothing_for_a_model_that_knows_no_direction(size):
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3, padding=1).eval()
    model.weight.copy_(sum(torch.rot90(model.weight, turns, (-2, -1)) for turns in range(4)))
    images = torch.randn(2, 3, *size)
    plain = both_ways(model, images)
    torch.testing.assert_close(both_ways(model, images, rotations=True), plain)
    for turns in range(4):
        torch.testing.assert_close(turned(both_ways(model, turned(images, turns)), -turns), plain)


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
def test_padding_is_cut_off_turned_views_where_it_was_added(deeplab, waves, flip):
    images = waves(2, 3, 70, 101)
    views = []
    for turns in range(4):
        for mirrored in (False, True) if flip else (False,):
            seen = turned(images.flip(-1) if mirrored else images, turns)
            answer = turned(deeplab(seen).softmax(1), -turns)
            views.append(answer.flip(-1) if mirrored else answer)
    averaged = both_ways(deeplab, images, rotations=True, flip=flip)
    torch.testing.assert_close(averaged, torch.stack(views).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("size", "scale", "expected"), [(513, 0.5, 257), (513, 1.75, 897), (513, 1.0, 513), (360, 0.75, 270), (1, 0.5, 1)]
)
def test_sizes_of_stride_times_k_plus_one_keep_that_form(size, scale, expected):
    assert scaled(size, scale) == expected


def test_no_scale_at_all_is_refused():
    with pytest.raises(ConfigError, match=r"scales=\(\)"):
        InferenceOptions(scales=())
