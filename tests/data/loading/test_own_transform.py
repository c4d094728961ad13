"""Transforms from outside albumentations: image and mask move together, and chance is the sample's own."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.transforms import transform_sample
from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization

IGNORE = 255
FILE = """
import random

import numpy as np
import torch


def shift(image, mask, most=9):
    places = (random.randrange(most), int(np.random.randint(most)))
    image, mask = (np.roll(array, places, (0, 1)) for array in (image, mask))
    mask[:torch.randint(most, ())] = 255
    return image, mask


class Mirror:
    def __init__(self, up=False):
        self.axis = 0 if up else 1

    def __call__(self, image, mask):
        return np.flip(image, self.axis).copy(), np.flip(mask, self.axis).copy()


def halve(image, mask):
    return image[::2], mask[::2]


def double(image, mask):
    return image * 2.0, mask


def invent(image, mask):
    return image, mask + 1


def fail(image, mask):
    raise RuntimeError("no " + "such thing")


number = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return "own.py"


def sample(channels=3, kind=np.uint8):
    """An image each of whose channels spells its mask of 1 to 4 and ignored pixels, in blocks."""
    mask = np.kron(np.random.default_rng(0).integers(0, 5, (6, 8)), np.ones((10, 10))).astype(np.uint8)
    scale = {np.uint8: 50, np.uint16: 12_000, np.float32: 0.2}[kind]
    image = np.repeat((mask.astype(float) * scale).astype(kind)[..., None], channels, axis=2)
    return image, np.where(mask == 0, IGNORE, mask).astype(np.uint8)


def pipeline(*transforms, channels=3, maximum=255):
    options = DataOptions(crop=(60, 80), scale=(1, 1), flip=0, transforms=transforms, channels=channels)
    return training_transform(options, Normalization.for_channels(channels, maximum), IGNORE)


def moved(transform, image, mask, index=0, seed=0):
    return transform_sample(transform, image, mask, seed=seed, epoch=0, index=index)


def spells(image, mask):
    """Whether pixels still have the label that their colour spells; colours of no label lie where it is ignored."""
    first = image[..., 0].astype(float) / image.max()
    clear = mask != IGNORE
    return np.abs(first - mask / 4)[clear].max() < 0.01 and all((image[..., 0] == image[..., -1]).ravel())


KINDS = [(1, np.uint8, 255), (3, np.uint8, 255), (5, np.uint8, 255), (4, np.uint16, 65535), (3, np.float32, 1)]
GEOMETRIC = [
    {"name": "own.py:shift", "most": 7},
    {"name": "own.py:Mirror", "up": True, "p": 0.5},
    {"name": "torchvision.transforms.v2.RandomAffine", "degrees": 0, "translate": [0.3, 0.3]},
    {"name": "torchvision.transforms.v2.RandomHorizontalFlip", "p": 0.5},
    {"name": "OneOf", "transforms": [{"name": "own.py:shift"}, {"name": "own.py:Mirror"}], "p": 1},
]


@pytest.mark.parametrize(("channels", "kind", "maximum"), KINDS)
@pytest.mark.parametrize("listed", GEOMETRIC, ids=lambda listed: listed["name"])
def test_image_and_mask_move_together_for_any_channels_and_depth(file, listed, channels, kind, maximum):
    image, mask = sample(channels, kind)
    transform = pipeline(listed, channels=channels, maximum=maximum)
    changed = 0
    for index in range(6):
        picture, labels = moved(transform, image, mask, index)
        assert (picture.shape, picture.dtype) == (image.shape, image.dtype)
        assert labels.dtype == mask.dtype
        assert spells(picture, labels)
        assert set(np.unique(labels)) <= {1, 2, 3, 4, IGNORE}
        changed += not np.array_equal(labels, mask)
    assert changed


def test_what_torchvision_uncovers_is_ignored_and_gets_the_fill(file):
    image, mask = sample()
    for more, expected in (({}, (127, 128)), ({"fill": 9}, (9, 9))):
        name = "torchvision.transforms.v2.RandomAffine"
        transform = pipeline({"name": name, "degrees": 0, "translate": [0.4, 0.4], **more})
        picture, labels = moved(transform, image, mask, 3)
        uncovered = ~np.isin(picture[..., 0], np.unique(image))
        assert uncovered.any()
        assert (labels[uncovered] == IGNORE).all()
        assert set(np.unique(picture[uncovered])) <= {*expected}


def test_colours_of_torchvision_leave_the_mask_alone(file):
    image, mask = sample()
    picture, labels = moved(pipeline({"name": "torchvision.transforms.v2.RandomInvert", "p": 1}), image, mask)
    assert np.array_equal(picture, 255 - image)
    assert np.array_equal(labels, mask)


def test_a_sample_depends_on_its_own_seed_and_disturbs_no_generator(file):
    image, mask = sample()
    transform = pipeline({"name": "own.py:shift"})
    first = [moved(transform, image, mask, index)[1] for index in range(4)]
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    again = [moved(transform, image, mask, index)[1] for index in (3, 2, 1, 0)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    drawn = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    assert drawn == (random.random(), np.random.random(), torch.rand(1).item())


def test_objects_are_accepted(file):
    import albumentations as A
    from torchvision.transforms import v2

    image, mask = sample()

    def turn(image, mask):
        return image[::-1].copy(), mask[::-1].copy()

    for own in (turn, A.VerticalFlip(p=1), v2.RandomVerticalFlip(p=1), {"name": "albumentations.VerticalFlip", "p": 1}):
        picture, labels = moved(pipeline(own), image, mask)
        assert np.array_equal(picture, image[::-1])
        assert np.array_equal(labels, mask[::-1])


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"name": "own.py:missing"}, "has no 'missing'"),
        ({"name": "own.py:number"}, "own.py:number is 3; expected a transform"),
        ({"name": "own.py:Mirror", "down": 1}, "own.py:Mirror: .*'down'"),
        ({"name": "own.py:halve"}, r"own.py:halve returned \['uint8 of \(30, 80, 3\)', .*; expected image and mask"),
        ({"name": "own.py:double"}, "own.py:double returned .*float64"),
        ({"name": "own.py:invent"}, r"labels 0 into \[1"),
        ({"name": "own.py:fail"}, "own.py:fail raised RuntimeError: no such thing"),
        ({"name": "torchvision.transforms.v2.Resize", "size": [20, 20]}, "v2.Resize returned"),
    ],
    ids=str,
)
def test_a_wrong_transform_is_one_line_before_anything_is_trained(file, listed, message):
    with pytest.raises(ConfigError, match=message) as caught:
        pipeline(listed)
    assert "\n" not in str(caught.value)
