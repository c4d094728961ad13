import pytest
import torch
from torch.nn import functional as F

from xseg.errors import ConfigError
from xseg.losses.cross_entropy import hard_pixel_share, labelled_cross_entropy

IGNORED = 255


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(3, (2, 6, 10), generator=generator)
    mask[:, :2] = IGNORED
    return torch.randn(2, 3, 6, 10, generator=generator), mask


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_all_pixels_are_the_plain_cross_entropy(batch, weights, smoothing):
    options = {"ignore_index": IGNORED, "class_weights": weights, "label_smoothing": smoothing}
    torch.testing.assert_close(
        labelled_cross_entropy(*batch, share=1.0, **options), labelled_cross_entropy(*batch, **options)
    )


@pytest.mark.parametrize("share", [0.05, 0.25, 0.6])
def test_it_is_the_mean_of_the_k_highest_and_k_is_of_all_pixels(batch, share):
    """The oracle sorts; a sixth of the pixels is ignored, and still counts for k, as in TF."""
    logits, mask = batch
    losses = F.cross_entropy(logits, mask, ignore_index=IGNORED, reduction="none").flatten().sort(descending=True)[0]
    expected = losses[: int(share * mask.numel())].mean()
    torch.testing.assert_close(labelled_cross_entropy(*batch, share=share, ignore_index=IGNORED), expected)


def test_ignored_pixels_among_the_taken_ones_are_not_divided_by(batch):
    """A third is ignored; of nine tenths taken, the ignored ones have a loss of 0 and no say in the mean."""
    loss = labelled_cross_entropy(*batch, share=0.9, ignore_index=IGNORED)
    torch.testing.assert_close(loss, labelled_cross_entropy(*batch, ignore_index=IGNORED))


def test_at_least_one_pixel_is_taken(batch):
    logits, mask = batch
    highest = F.cross_entropy(logits, mask, ignore_index=IGNORED, reduction="none").max()
    torch.testing.assert_close(labelled_cross_entropy(*batch, share=1e-9, ignore_index=IGNORED), highest)


@pytest.mark.parametrize("share", [0.0, 1.1, -1.0])
def test_a_share_out_of_range_is_refused(batch, share):
    with pytest.raises(ConfigError, match="share"):
        labelled_cross_entropy(*batch, share=share, ignore_index=IGNORED)


def test_the_share_falls_in_a_straight_line_and_stays():
    shares = [hard_pixel_share(step, share=0.2, steps=10) for step in (0, 5, 10, 99)]
    assert shares == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert hard_pixel_share(0, share=0.2, steps=0) == 0.2


def test_halves_that_share_what_they_divide_by_have_the_mean_of_the_whole(batch):
    """Two processes with differently many ignored pixels."""
    logits, mask = batch
    mask[0, 3:] = IGNORED
    whole = labelled_cross_entropy(logits, mask, ignore_index=IGNORED)
    mean_count = (mask != IGNORED).sum() / 2
    halves = [
        labelled_cross_entropy(logits[i : i + 1], mask[i : i + 1], ignore_index=IGNORED, across=lambda _: mean_count)
        for i in range(2)
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)
