from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.inference import scores as module
from xseg.inference.scores import Tiled, View, WholeImage
from xseg.nn.resize import resize


def coarse(height, width, classes, seed=0, smooth=True):
    """Scores (classes, h, w), with regions of one class as a model's have if `smooth`."""
    generator = torch.Generator().manual_seed(seed)
    if not smooth:
        return torch.randn(classes, height, width, generator=generator).numpy()
    seeds = torch.randn(1, classes, 3, 4, generator=generator)
    return resize(seeds, height, width)[0].numpy()


def plainly(view, height, width):
    """The whole float map (classes, H, W), by torch: what the strips must give without holding it."""
    logits = torch.from_numpy(view.logits)[None]
    if view.grid != view.size:
        logits = resize(logits, *view.grid)[..., : view.size[0], : view.size[1]]
    axes = [axis for axis, backwards in zip((-2, -1), view.mirrored, strict=True) if backwards]
    return resize(logits.flip(axes), height, width)[0]


def assert_same_labels(labels, logits):
    """Equal, but where the two best scores are as near to each other as rounding."""
    expected = logits.argmax(0).numpy()
    top = logits.topk(2, dim=0).values if len(logits) > 1 else torch.zeros(2, *logits.shape[1:])
    clear = (top[0] - top[1]).numpy() > 1e-5
    np.testing.assert_array_equal(labels[clear], expected[clear])
    assert (labels == expected).mean() > 0.999


SIDES = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(
    SIDES,
    SIDES,
    st.integers(1, 6),
    st.integers(1, 90),
    st.integers(1, 90),
    st.booleans(),
    st.tuples(st.booleans(), st.booleans()),
)
def test_labels_are_those_of_the_resized_scores(h, w, classes, height, width, smooth, mirrored):
    # Of several scores for one row or column, mirroring decides which is at the image's corner; no model has them.
    h, w = (1 if height == 1 else h), (1 if width == 1 else w)
    view = View(coarse(h, w, classes, smooth=smooth), (height, width), (height, width), mirrored)
    assert_same_labels(WholeImage((view,), height, width).labels(), plainly(view, height, width))


def test_real_sizes_take_several_strips_and_chunks(monkeypatch):
    monkeypatch.setattr(module, "STRIP_VALUES", 1000)
    view = View(coarse(45, 60, 7), (180, 240), (180, 240))
    scores = WholeImage((view,), 180, 240)
    assert_same_labels(scores.labels(), plainly(view, 180, 240))
    expected = plainly(view, 180, 240).softmax(0)
    np.testing.assert_allclose(scores.probabilities(), expected.numpy(), atol=1e-6)


def test_padding_of_the_view_is_cut_off():
    view = View(coarse(12, 16, 4), (48, 64), (41, 50))
    scores = WholeImage((view,), 41, 50)
    assert_same_labels(scores.labels(), plainly(view, 41, 50))
    np.testing.assert_allclose(scores.probabilities(), plainly(view, 41, 50).softmax(0).numpy(), atol=1e-5)


def test_several_views_are_averaged_as_probabilities():
    views = (
        View(coarse(10, 13, 5, seed=1), (37, 50), (37, 50)),
        View(coarse(10, 13, 5, seed=2), (37, 50), (37, 50), mirrored=(False, True)),
        View(coarse(15, 19, 5, seed=3), (55, 75), (55, 75)),
    )
    mean = torch.stack([plainly(view, 37, 50).softmax(0) for view in views]).mean(0)
    scores = WholeImage(views, 37, 50)
    np.testing.assert_allclose(scores.probabilities(), mean.numpy(), atol=1e-5)
    assert_same_labels(scores.labels(), mean)


def test_many_classes_need_little_more_memory_than_their_coarse_scores():
    import tracemalloc

    height, width, classes = 480, 640, 150
    scores = WholeImage((View(coarse(120, 160, classes), (height, width), (height, width)),), height, width)
    tracemalloc.start()
    labels = scores.labels()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.shape == (height, width)
    assert peak < height * width * classes * 4 / 5


def test_more_than_256_classes_are_16_bit():
    logits = np.zeros((300, 3, 3), np.float32)
    logits[299] = 1
    labels = WholeImage((View(logits, (9, 9), (9, 9)),), 9, 9).labels()
    assert labels.dtype == np.uint16
    assert (labels == 299).all()


def test_tiles_without_probabilities_say_so():
    labels = np.zeros((2, 2), np.uint8)
    assert Tiled(labels).labels() is labels
    with pytest.raises(ValueError, match="not kept"):
        Tiled(labels).probabilities()
