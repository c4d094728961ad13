import pytest
import torch
from segmentation_models_pytorch import losses

from xseg.losses.smp_losses import smp_loss

MODE = losses.MULTICLASS_MODE


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("focal", losses.FocalLoss(MODE, gamma=1.5)),
        ("dice", losses.DiceLoss(MODE)),
        ("lovasz", losses.LovaszLoss(MODE)),
        ("tversky", losses.TverskyLoss(MODE, alpha=0.2, beta=0.8)),
    ],
)
def test_without_ignored_pixels_it_is_smps(name, own):
    logits, mask = torch.randn(3, 4, 5, 6), torch.randint(4, (3, 5, 6))
    loss = smp_loss(name, ignore_index=255, gamma=1.5, alpha=0.2, beta=0.8)
    torch.testing.assert_close(loss(logits, mask), own(logits, mask))
