"""Presets keep image and mask together and pad with "ignore"; a user's list names albumentations and nothing else."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.transforms import transform_sample
from xseg.data.options import CHOICES, DataOptions
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization

A = pytest.importorskip("albumentations")  # after xseg, which keeps it from asking the network for its version

IGNORE = 255


def change(image, mask, index=0, *, normalization=None, class_weights=(), bands=0, **options):
    normalization = normalization or Normalization.for_channels(image.shape[2])
    weights = {"class_weights": class_weights, "bands": bands}
    transform = training_transform(DataOptions(**options), normalization, IGNORE, **weights)
    return transform_sample(transform, image, mask, seed=0, epoch=0, index=index)


def spelled(height=60, width=80):
    """An image whose channels spell its mask of 1 to 4, in blocks."""
    cells = np.random.default_rng(0).integers(1, 5, (height // 10 + 1, width // 10 + 1))
    mask = np.kron(cells, np.ones((10, 10)))[:height, :width].astype(np.uint8)
    return np.repeat((50 * mask)[..., None], 3, axis=2), mask


def inner(labels, reach=3):
    """Where all pixels around have the same label."""
    same = np.ones(labels.shape, bool)
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            same &= np.roll(labels, (row, column), (0, 1)) == labels
    same[:reach], same[-reach:], same[:, :reach], same[:, -reach:] = False, False, False, False
    return same


@pytest.mark.parametrize("augmentation", CHOICES["augmentation"])
def test_presets_keep_image_and_mask_together_and_invent_no_label(augmentation):
    image, mask = spelled()
    for index in range(12):
        moved, labels = change(image, mask, index, augmentation=augmentation, crop=(48, 40))
        assert moved.shape == (48, 40, 3)
        assert moved.dtype == np.uint8
        assert labels.shape == (48, 40)
        assert set(np.unique(labels)) <= {1, 2, 3, 4, IGNORE}
        # colours change, but their order tells whether pixels still belong to their labels
        clear = inner(labels)
        means = [moved[clear & (labels == label)].mean() for label in (1, 2, 3, 4) if (clear & (labels == label)).any()]
        assert means == sorted(means)


@pytest.mark.parametrize("augmentation", CHOICES["augmentation"])
@pytest.mark.parametrize(
    ("channels", "kind", "maximum"),
    [(1, np.uint8, 255), (3, np.uint16, 65535), (5, np.uint16, 65535), (5, np.uint8, 255), (4, np.float32, 1)],
)
def test_presets_work_for_any_channels_and_depth(augmentation, channels, kind, maximum):
    normalization = Normalization.for_channels(channels, maximum)
    image = (np.random.default_rng(0).random((50, 60, channels)) * maximum).astype(kind)
    mask = np.ones((50, 60), np.uint8)
    for index in range(8):
        moved, labels = change(
            image, mask, index, augmentation=augmentation, crop=(32, 48), channels=channels, normalization=normalization
        )
        assert moved.shape == (32, 48, channels)
        assert moved.dtype == kind
        assert moved.min() >= 0
        assert moved.max() <= maximum
        assert set(np.unique(labels)) <= {1, IGNORE}


def test_the_aerial_preset_turns_and_mirrors_every_way():
    image, mask = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8)
    mask[:20, :10] = 1
    fixed = {"augmentation": "aerial", "crop": (40, 40), "scale": (1, 1)}
    seen = {change(image, mask, index, **fixed)[1].tobytes() for index in range(80)}
    ways = {np.rot90(way, turns).tobytes() for way in (mask, mask[:, ::-1]) for turns in range(4)}
    assert seen == ways


def test_turned_images_are_padded_with_the_mean_and_turned_masks_with_ignore():
    image, mask = np.full((120, 120, 3), 10, np.uint8), np.zeros((120, 120), np.uint8)
    options = {"augmentation": "strong", "crop": (120, 120), "scale": (1, 1), "jitter": 1e-9}
    padded = 0
    for index in range(10):
        moved, labels = change(image, mask, index, **options)
        padding = inner(labels) & (labels == IGNORE)
        padded += padding.sum()
        if padding.any():
            assert moved[padding].mean() > moved[inner(labels) & (labels == 0)].mean() + 80
    assert padded > 0


def test_crops_lie_around_rare_classes_as_often_as_asked():
    mask = np.zeros((200, 300), np.uint8)
    mask[150:153, 250:253] = 1
    image = np.zeros((200, 300, 3), np.uint8)
    options = {"crop": (40, 40), "scale": (1, 1), "sampling": "class_aware"}

    def share(rare_crops):
        held = [
            (change(image, mask, index, class_weights=(0.0, 1.0), rare_crops=rare_crops, **options)[1] == 1).any()
            for index in range(200)
        ]
        return np.mean(held)

    assert share(1.0) == 1
    assert 0.4 < share(0.5) < 0.62
    assert share(0.0) < 0.12


def test_a_listed_transform_happens_after_the_preset():
    image, mask = spelled()
    plain, labels = change(image, mask, crop=(32, 32))
    moved, same = change(image, mask, crop=(32, 32), transforms=({"name": "InvertImg", "p": 1},))
    assert np.array_equal(labels, same)
    assert np.array_equal(moved, 255 - plain)


def test_listed_choices_hold_transforms_of_their_own():
    image, mask = spelled()
    listed = {"name": "OneOf", "transforms": [{"name": "InvertImg", "p": 1}], "p": 1}
    assert np.array_equal(
        change(image, mask, transforms=(listed,))[0],
        change(image, mask, transforms=({"name": "InvertImg", "p": 1},))[0],
    )


@pytest.mark.parametrize(
    "listed",
    [
        {"name": "Rotate", "limit": [40, 45], "p": 1},
        {"name": "Affine", "translate_percent": [0.3, 0.4], "p": 1},
        {"name": "Perspective", "scale": [0.2, 0.2], "fit_output": True, "p": 1},
        {"name": "ElasticTransform", "alpha": 300, "sigma": 8, "p": 1},
        {"name": "CropAndPad", "px": [10, 20], "p": 1},
    ],
    ids=lambda listed: listed["name"],
)
def test_whatever_a_list_moves_fills_masks_with_ignore(listed):
    mask = np.full((60, 60), 3, np.uint8)
    image = np.full((60, 60, 3), 10, np.uint8)
    filled = 0
    for index in range(5):
        moved, labels = change(image, mask, index, crop=(60, 60), scale=(1, 1), transforms=(listed,))
        assert set(np.unique(labels)) <= {3, IGNORE}
        filled += (labels == IGNORE).sum()
        if (inner(labels) & (labels == IGNORE)).any():
            assert (moved[inner(labels) & (labels == IGNORE)] > 100).all(), "the mean pixel"
    assert filled > 0


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"name": "GausianBlur"}, "'GausianBlur' is not a transform of albumentations; did you mean GaussianBlur?"),
        ({"name": "GaussianBlur", "blur_limits": [3, 5]}, "GaussianBlur: .*blur_limits"),
        ({"name": "GaussianBlur", "blur_limit": "wide"}, "GaussianBlur: "),
        ({"name": "Rotate", "fill_mask": 0}, "Rotate has fill_mask=0; expected 255"),
        ({"name": "Rotate", "mask_interpolation": 1}, "mask_interpolation=1; expected 0"),
        ({"name": "ShiftScaleRotate"}, "ShiftScaleRotate: .*use Affine"),
        ({"name": "Lambda"}, "Lambda cannot be listed: it calls code"),
        ({"name": "Normalize"}, "Normalize cannot be listed"),
        ({"name": "Compose"}, "'Compose' is not a transform"),
        ({"name": "os"}, "'os' is not a transform"),
        ({"name": "BasicTransform"}, "'BasicTransform' is not a transform"),
        ({"name": "__builtins__"}, "is not a transform"),
        ({"p": 1}, "expected a `name`"),
        ("GaussianBlurr", "'GaussianBlurr' is not a transform of albumentations; did you mean GaussianBlur"),
        (7, "expected a `name`"),
        ({"name": "OneOf"}, "OneOf has no list of transforms"),
        ({"name": "OneOf", "transforms": [{"name": "Nothing"}]}, "'Nothing' is not a transform"),
        ({"name": "Resize", "height": 20, "width": 20}, "change a crop of 320x320 to 20x20"),
        ({"name": "RandomCrop", "height": 20, "width": 20, "p": 0.5}, "change a crop of 320x320"),
    ],
    ids=str,
)
def test_a_wrong_list_is_told_in_one_line_before_anything_is_trained(listed, message):
    with pytest.raises(ConfigError, match=message) as caught:
        training_transform(DataOptions(transforms=(listed,)), Normalization(), IGNORE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bands", [0, 1, 5])
def test_no_transform_of_albumentations_can_leave_a_mask_with_an_invented_label(bands):
    """Every transform that needs no arguments is listed; those that cannot work are refused when they are built."""
    mask = np.full((64, 64), 3, np.uint8)
    mask[:, 32:] = 9
    if bands:  # all bands are equal and without 0, and remain so
        mask = np.ones((64, 64, bands), np.uint8)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    worked = []
    for name, kind in vars(A).items():
        if not (inspect.isclass(kind) and issubclass(kind, A.DualTransform)):
            continue
        try:
            listed = ({"name": name, "p": 1},)
            options = {"crop": (64, 64), "transforms": listed, "augmentation": "medical" if bands else "paper"}
            changed = [change(image, mask, index, bands=bands, **options) for index in range(2)]
        except ConfigError:
            continue
        worked.append(name)
        for moved, labels in changed:
            assert set(np.unique(labels)) <= ({1, IGNORE} if bands else {3, 9, IGNORE}), name
            assert moved.shape[:2] == labels.shape[:2] == (64, 64), name
            assert not bands or (labels == labels[..., :1]).all(), name
    assert len(worked) > 20
