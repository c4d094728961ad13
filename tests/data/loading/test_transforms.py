"""Image and mask move together; padding is mean pixel and ignored; randomness is a function of seed, epoch, index."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.transforms import RandomScaleCrop, to_tensor, transform_sample
from xseg.data.options import DataOptions
from xseg.errors import DataError
from xseg.images.normalization import Normalization

IGNORE = 255


def change(image, mask, *, seed=0, epoch=0, index=0, normalization=None, **options):
    normalization = normalization or Normalization.for_channels(image.shape[2])
    transform = training_transform(DataOptions(**options), normalization, IGNORE)
    return transform_sample(transform, image, mask, seed=seed, epoch=epoch, index=index)


def blocks(height, width, classes=5, cell=8, seed=0):
    """A mask of blocks 1..classes-1 and an image that spells the mask: channel 0 is 40 times the class."""
    cells = np.random.default_rng(seed).integers(1, classes, (height // cell + 1, width // cell + 1))
    mask = np.kron(cells, np.ones((cell, cell)))[:height, :width].astype(np.uint8)
    return np.repeat((40 * mask)[..., None], 3, axis=2), mask


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    crop=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    scale=st.sampled_from([(0.5, 2.0), (1.0, 1.0), (0.5, 0.5), (2.0, 2.0)]),
    index=st.integers(0, 1000),
)
def test_image_and_mask_stay_aligned_and_no_label_is_invented(size, crop, scale, index):
    image, mask = blocks(*size)
    moved, labels = change(image, mask, crop=crop, scale=scale, index=index)
    assert moved.shape == (*crop, 3)
    assert labels.shape == crop
    assert set(np.unique(labels)) <= set(np.unique(mask)) | {IGNORE}
    # Inside a block, a pixel away from any border, the image still spells the label exactly.
    same = np.ones(crop, bool)
    for shift in [(a, b) for a in (-2, -1, 0, 1, 2) for b in (-2, -1, 0, 1, 2)]:
        same &= np.roll(labels, shift, (0, 1)) == labels
    same[:2], same[-2:], same[:, :2], same[:, -2:] = False, False, False, False
    padding = labels == IGNORE
    assert (moved[same & padding] == 128).all()
    assert (moved[same & ~padding] == 40 * labels[same & ~padding][:, None]).all()


def test_borders_of_image_and_mask_are_at_the_same_place_to_half_a_pixel():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 1
    image = np.repeat((200 * mask)[..., None], 3, axis=2)
    for index in range(20):
        for scale in (0.5, 0.7, 1.3, 2.0):
            moved, labels = change(image, mask, crop=(160, 160), scale=(scale, scale), index=index)
            inside = labels != IGNORE
            bright, ones = (moved[..., 0] / 200)[inside].sum(), (labels == 1).sum()
            rows = inside.any(1).sum()
            # Half of a resized pixel of rounding at the border, a quarter of interpolation at the padding's edge.
            assert abs(bright - ones) / rows < 0.75 + 0.25 * scale


def test_at_scale_one_a_crop_is_a_piece_of_the_image_or_the_image_with_padding_around():
    image, mask = blocks(40, 50)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, image.shape).astype(np.uint8)
    moved, labels = change(image, mask, crop=(24, 30), scale=(1, 1), flip=0.0)
    windows = np.lib.stride_tricks.sliding_window_view(image, (24, 30, 3))[:, :, 0]
    assert (windows == moved).all((2, 3, 4)).sum() == 1
    moved, labels = change(image, mask, crop=(60, 64), scale=(1, 1), flip=0.0)
    rows, columns = np.nonzero(labels != IGNORE)
    inside = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    assert np.array_equal(moved[inside], image)
    assert np.array_equal(labels[inside], mask)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.5, 2.0])
def test_a_window_of_the_whole_resized_image_equals_resizing_it(scale):
    image = cv2.resize(np.random.default_rng(2).integers(0, 256, (5, 6, 3), np.uint8), (60, 40))
    size = (round(40 * scale), round(60 * scale))
    moved, _ = change(image, blocks(40, 60)[1], crop=size, scale=(scale, scale), flip=0.0)
    resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    inside = (slice(2, -2), slice(2, -2))
    assert np.abs(moved[inside].astype(int) - resized[inside]).max() <= 2


def test_padding_is_ignored_and_close_to_zero_for_the_network():
    for normalization in (Normalization(), Normalization((0.2, 0.5, 0.7), (0.2, 0.3, 0.4))):
        image, mask = np.full((20, 20, 3), 200, np.uint8), np.zeros((20, 20), np.uint8)
        moved, labels = change(image, mask, crop=(80, 80), scale=(1, 1), normalization=normalization)
        padding = labels == IGNORE
        assert padding.sum() == 80 * 80 - 20 * 20
        assert to_tensor(moved, normalization, "x")[:, torch.from_numpy(padding)].abs().max() < 0.02


def test_factors_are_drawn_from_the_interval_or_the_steps():
    crop = RandomScaleCrop((8, 8), (0.5, 2.0), 0.25, (0.0,) * 3, IGNORE)
    crop.set_random_seed(0)
    factors = {crop._factor() for _ in range(300)}
    assert factors == {0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0}
    crop = RandomScaleCrop((8, 8), (0.5, 2.0), 0.0, (0.0,) * 3, IGNORE)
    crop.set_random_seed(0)
    drawn = [crop._factor() for _ in range(300)]
    assert len(set(drawn)) == 300
    assert 0.5 <= min(drawn) < 0.6 < 1.9 < max(drawn) <= 2.0


def test_windows_reach_every_place():
    image, mask = blocks(30, 30)
    mask[0, 0], mask[-1, -1] = 7, 9
    corners = {7: 0, 9: 0}
    for index in range(200):
        _, labels = change(image, mask, crop=(24, 24), scale=(1, 1), index=index)
        for label in corners:
            corners[label] += int((labels == label).any())
    assert min(corners.values()) >= 1


@pytest.mark.parametrize("jitter", [0.0, 0.7])
def test_randomness_is_a_function_of_seed_epoch_and_index(jitter):
    image, mask = blocks(40, 50)
    transform = training_transform(DataOptions(crop=(32, 32), jitter=jitter), Normalization(), IGNORE)

    def sample(**keys):
        return transform_sample(transform, image, mask, **{"seed": 1, "epoch": 2, "index": 3, **keys})

    first = sample()
    others = [sample(seed=2), sample(epoch=3), sample(index=4), sample(epoch=3, index=2)]
    again = sample()
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not any(np.array_equal(first[0], other[0]) for other in others)


def test_flips_happen_as_often_as_asked():
    image, mask = blocks(16, 16)
    mask[:, :8], mask[:, 8:] = 1, 2
    flipped = [
        change(image, mask, crop=(16, 16), scale=(1, 1), flip=0.3, index=index)[1][0, 0] == 2 for index in range(300)
    ]
    assert 0.2 < np.mean(flipped) < 0.4


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9])
@pytest.mark.parametrize(("kind", "maximum"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_images_of_any_channels_and_depth_keep_both(channels, kind, maximum, jitter):
    mask = blocks(40, 50)[1]
    image = (np.arange(1, channels + 1) / (channels + 1) * maximum * np.ones((40, 50, 1))).astype(kind)
    normalization = Normalization.for_channels(channels, maximum)
    moved, labels = change(
        image, mask, crop=(60, 60), scale=(0.7, 1.2), jitter=jitter, channels=channels, normalization=normalization
    )
    assert moved.shape == (60, 60, channels)
    assert moved.dtype == kind
    if jitter == 0:
        centre = np.argwhere(labels != IGNORE).mean(0).astype(int)
        assert np.array_equal(moved[tuple(centre)], image[0, 0])


def test_jitter_changes_colours_and_leaves_labels():
    image, mask = blocks(40, 50)
    image[..., 1] //= 2
    plain = change(image, mask, crop=(32, 32))
    jittered = change(image, mask, crop=(32, 32), jitter=0.8)
    assert np.array_equal(plain[1], jittered[1])
    assert np.abs(plain[0].astype(int) - jittered[0]).max() > 10


def test_building_a_pipeline_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training_transform(DataOptions(jitter=0.5), Normalization(), IGNORE)


@pytest.mark.parametrize(("kind", "maximum"), [(np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095), (np.float32, 1)])
def test_tensors_are_normalised_as_the_formula_says(kind, maximum):
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), maximum)
    image = (np.random.default_rng(0).random((6, 9, 3)) * maximum).astype(kind)
    expected = (image.astype(np.float64) / maximum - normalization.mean) / normalization.std
    tensor = to_tensor(image, normalization, "x")
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert np.allclose(tensor.numpy(), expected.transpose(2, 0, 1), atol=2e-6)


def test_xceptions_own_normalisation_is_x_over_127_5_less_1():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    tensor = to_tensor(values, Normalization.for_channels(1), "x")
    assert np.allclose(tensor.numpy()[0], values[..., 0] / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(("kind", "maximum"), [(np.uint8, 65535), (np.uint16, 255)])
def test_images_of_another_range_are_refused(kind, maximum):
    with pytest.raises(DataError, match=r"^a\.png has uint.* pixels, but the normalization's maximum is"):
        to_tensor(np.zeros((4, 4, 3), kind), Normalization(maximum=maximum), "a.png")
    with pytest.raises(DataError, match=r"a\.png has 4 channels; expected 3"):
        to_tensor(np.zeros((4, 4, 4), np.uint8), Normalization(), "a.png")
