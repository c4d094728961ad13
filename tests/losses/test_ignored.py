"""Ignored pixels change neither a loss nor its gradient, whatever is predicted and whatever stands there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.losses.cross_entropy import labelled_cross_entropy
from xseg.losses.registry import LOSSES as REGISTRY
from xseg.losses.terms import Term

IGNORED = 255
WEIGHTS = torch.tensor([0.5, 1.0, 3.0, 1.5])


def hard(logits, mask, **options):
    """All hardest pixels are labelled ones: taking k of them is then the same whatever is ignored."""
    labelled = (mask != IGNORED).float().mean().item()
    return labelled_cross_entropy(logits, mask, share=max(0.5 * labelled, 1e-6), ignore_index=IGNORED, **options)


def registered(name, multilabel=False):
    given = {"ignore_index": IGNORED, "classes": 4, "multilabel": multilabel}
    term = Term(name, 1.0, given=given, arguments={})
    return lambda *pair: term(*pair, {"step": 0})


LOSSES = {
    **{name: registered(name) for name in REGISTRY},
    "weighted": lambda *pair: labelled_cross_entropy(*pair, ignore_index=IGNORED, class_weights=WEIGHTS),
    "smoothed": lambda *pair: labelled_cross_entropy(*pair, ignore_index=IGNORED, label_smoothing=0.1),
    "hard_pixels": hard,
    "weighted_hard_pixels": lambda *pair: hard(*pair, class_weights=WEIGHTS),
    **{f"multilabel {name}": registered(name, multilabel=True) for name in REGISTRY},
    "multilabel weighted": lambda *pair: hard(*pair, class_weights=WEIGHTS, multilabel=True),
    "multilabel smoothed": lambda *pair: hard(*pair, label_smoothing=0.1, multilabel=True),
}


def random_mask(name, height, width, generator=None, count=1):
    """Labels (N, H, W) of 4 classes; (N, 4, H, W) of 0 and 1 for overlapping classes."""
    overlap = name.startswith("multilabel")
    shape = (count, 4, height, width) if overlap else (count, height, width)
    return torch.randint(2 if overlap else 4, shape, generator=generator)


def loss_and_gradient(name, logits, mask):
    logits = logits.clone().requires_grad_()
    loss = LOSSES[name](logits, mask)
    loss.backward()
    return loss.detach(), logits.grad


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_what_is_predicted_under_ignored_pixels_does_not_matter(name, seed, share):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 5, 7, generator=generator)
    mask = random_mask(name, 5, 7, generator, count=2)
    mask[torch.rand(mask.shape, generator=generator) < share] = IGNORED
    hidden = mask == IGNORED if mask.ndim == 4 else (mask == IGNORED)[:, None]
    loss, gradient = loss_and_gradient(name, logits, mask)
    other = torch.where(hidden, 10 * torch.randn(logits.shape, generator=generator), logits)
    other_loss, other_gradient = loss_and_gradient(name, other, mask)
    assert torch.isfinite(loss)
    assert torch.equal(loss, other_loss)
    assert torch.equal(gradient, other_gradient)
    assert not gradient[hidden.expand_as(gradient)].any()


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_count_as_if_they_were_not_there(name):
    """An image with a border of ignored pixels has the loss, and inside the gradient, of the image without it."""
    generator = torch.Generator().manual_seed(3)
    logits, mask = torch.randn(1, 4, 6, 6, generator=generator), random_mask(name, 6, 6, generator)
    bordered = torch.nn.functional.pad(mask, [1, 2, 3, 1], value=IGNORED)
    framed = torch.nn.functional.pad(logits, [1, 2, 3, 1], value=7.0)
    loss, gradient = loss_and_gradient(name, logits, mask)
    framed_loss, framed_gradient = loss_and_gradient(name, framed, bordered)
    torch.testing.assert_close(framed_loss, loss)
    torch.testing.assert_close(framed_gradient[..., 3:-1, 1:-2], gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_but_ignored_pixels_is_a_loss_of_0_that_moves_nothing(name):
    loss, gradient = loss_and_gradient(name, torch.randn(1, 4, 5, 7), random_mask(name, 5, 7).fill_(IGNORED))
    assert loss.ndim == 0
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_single(name):
    logits, mask = torch.randn(1, 4, 5, 7).bfloat16(), random_mask(name, 5, 7)
    loss, gradient = loss_and_gradient(name, logits, mask)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(loss, loss_and_gradient(name, logits.float(), mask)[0])
