import pytest
import torch

from xseg.errors import ShapeError
from xseg.losses.cross_entropy import labelled_cross_entropy
from xseg.losses.smp_losses import Dice, Focal, Lovasz, Tversky
from xseg.training.objective import Objective
from xseg.training.options.recipe import LossOptions


@pytest.fixture
def batch():
    mask = torch.randint(3, (2, 6, 8))
    mask[0, :2] = 255
    return torch.randn(2, 3, 6, 8), mask


def test_it_is_the_weighted_sum(batch):
    options = LossOptions(cross_entropy=0.5, lovasz=2.0, tversky=1.0, tversky_alpha=0.1, tversky_beta=0.9)
    expected = 0.5 * labelled_cross_entropy(*batch, ignore_index=255)
    expected += 2 * Lovasz(ignore_index=255)(*batch)
    expected += Tversky(ignore_index=255, alpha=0.1, beta=0.9)(*batch)
    torch.testing.assert_close(Objective(options, classes=3, ignore_index=255)(*batch, 0), expected)


def test_overlapping_classes_have_a_mask_each():
    logits, mask = torch.randn(2, 3, 6, 8), torch.randint(2, (2, 3, 6, 8))
    objective = Objective(LossOptions(dice=1), classes=3, ignore_index=255, multilabel=True)
    expected = labelled_cross_entropy(logits, mask, ignore_index=255, multilabel=True)
    expected += Dice(ignore_index=255, multilabel=True)(logits, mask)
    torch.testing.assert_close(objective(logits, mask, 0), expected)
    with pytest.raises(ShapeError, match=r"mask of \(2, 6, 8\); expected \(N, C, H, W\), \(N, C, H, W\)"):
        objective(logits, mask[:, 0])


def test_without_cross_entropy_there_is_none(batch):
    loss = Objective(LossOptions(cross_entropy=0, focal=1, focal_gamma=3), classes=3, ignore_index=255)(*batch, 0)
    torch.testing.assert_close(loss, Focal(ignore_index=255, gamma=3)(*batch))


def test_hard_pixels_are_mined_by_the_step_and_never_in_validation(batch):
    weights = torch.tensor([1.0, 2.0, 3.0])
    options = LossOptions(hard_pixels=0.2, hard_pixel_steps=10, label_smoothing=0.1)
    objective = Objective(options, classes=3, ignore_index=255, class_weights=weights)
    shared = {"ignore_index": 255, "class_weights": weights, "label_smoothing": 0.1}
    for step, share in ((0, 1.0), (5, 0.6), (50, 0.2)):
        torch.testing.assert_close(objective(*batch, step), labelled_cross_entropy(*batch, share=share, **shared))
    torch.testing.assert_close(objective(*batch), labelled_cross_entropy(*batch, **shared))


def test_what_is_divided_by_is_shared_between_processes_in_training_alone(batch):
    objective = Objective(LossOptions(), classes=3, ignore_index=255, across=lambda weight: 2 * weight)
    torch.testing.assert_close(2 * objective(*batch, 0), objective(*batch))
