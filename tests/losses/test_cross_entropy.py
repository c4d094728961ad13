import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from xseg.losses.cross_entropy import labelled_cross_entropy

IGNORE = 255


def batch(seed=0, classes=4, share_ignored=0.3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 7, generator=generator, requires_grad=True)
    mask = torch.randint(0, classes, (2, 5, 7), generator=generator)
    mask[torch.rand(mask.shape, generator=generator) < share_ignored] = IGNORE
    return logits, mask


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0, 0.7])])
def test_it_is_torchs_where_there_is_a_label(weights, smoothing):
    logits, mask = batch()
    ours = labelled_cross_entropy(logits, mask, ignore_index=IGNORE, class_weights=weights, label_smoothing=smoothing)
    expected = F.cross_entropy(logits, mask, weight=weights, ignore_index=IGNORE, label_smoothing=smoothing)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0, 0.7])])
def test_of_overlapping_classes_it_is_torchs_binary_one_where_there_is_a_label(weights):
    logits = torch.randn(2, 4, 5, 7)
    mask = torch.randint(2, logits.shape)
    mask[torch.rand(mask.shape) < 0.3] = IGNORE
    ours = labelled_cross_entropy(logits, mask, ignore_index=IGNORE, class_weights=weights, multilabel=True)
    positive = torch.ones(4) if weights is None else weights
    each = F.binary_cross_entropy_with_logits(
        logits, (mask == 1).float(), reduction="none", pos_weight=positive[:, None, None]
    )
    torch.testing.assert_close(ours, each[mask != IGNORE].mean())


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0, 0.7])])
def test_a_batch_without_labels_has_loss_and_gradients_of_zero(weights):
    logits, mask = batch(share_ignored=2.0)
    loss = labelled_cross_entropy(logits, mask, ignore_index=IGNORE, class_weights=weights)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([IGNORE, -1, 65_535]))
def test_ignored_pixels_change_neither_loss_nor_gradient(seed, ignore_index):
    logits, mask = batch(seed)
    mask[mask == IGNORE] = ignore_index
    ignored = (mask == ignore_index).unsqueeze(1)
    other = torch.where(ignored, logits.detach() + 50 * torch.randn_like(logits), logits.detach()).requires_grad_()
    losses = [labelled_cross_entropy(values, mask, ignore_index=ignore_index) for values in (logits, other)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(logits.grad, other.grad)
    assert logits.grad.masked_select(ignored).abs().sum() == 0


def test_half_precision_logits_are_summed_in_float32():
    logits, mask = batch()
    loss = labelled_cross_entropy(logits.bfloat16(), mask, ignore_index=IGNORE)
    assert loss.dtype is torch.float32
