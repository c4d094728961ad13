import pytest
import torch
from segmentation_models_pytorch import losses

from xseg.losses.smp_losses import Dice, Focal, Jaccard, Lovasz, Tversky

MODE, OVERLAP = losses.MULTICLASS_MODE, losses.MULTILABEL_MODE


@pytest.mark.parametrize(
    ("ours", "own"),
    [
        (Focal(ignore_index=255, gamma=1.5), losses.FocalLoss(MODE, gamma=1.5)),
        (Dice(ignore_index=255), losses.DiceLoss(MODE)),
        (Jaccard(ignore_index=255), losses.JaccardLoss(MODE)),
        (Lovasz(ignore_index=255), losses.LovaszLoss(MODE)),
        (Tversky(ignore_index=255, alpha=0.2, beta=0.8), losses.TverskyLoss(MODE, alpha=0.2, beta=0.8)),
    ],
)
def test_without_ignored_pixels_it_is_smps(ours, own):
    logits, mask = torch.randn(3, 4, 5, 6), torch.randint(4, (3, 5, 6))
    torch.testing.assert_close(ours(logits, mask), own(logits, mask))


@pytest.mark.parametrize(
    ("ours", "own"),
    [
        (Focal(ignore_index=255, gamma=1.5, multilabel=True), losses.FocalLoss(OVERLAP, gamma=1.5)),
        (Dice(ignore_index=255, multilabel=True), losses.DiceLoss(OVERLAP)),
        (Jaccard(ignore_index=255, multilabel=True), losses.JaccardLoss(OVERLAP)),
        (
            Tversky(ignore_index=255, alpha=0.2, beta=0.8, multilabel=True),
            losses.TverskyLoss(OVERLAP, alpha=0.2, beta=0.8),
        ),
    ],
)
def test_of_overlapping_classes_it_is_smps_of_several_labels(ours, own):
    logits, mask = torch.randn(3, 4, 5, 6), torch.randint(2, (3, 4, 5, 6))
    torch.testing.assert_close(ours(logits, mask), own(logits, mask))
