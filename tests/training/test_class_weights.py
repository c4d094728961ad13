import pytest

from xseg.training.class_weights import class_weights


def test_the_middle_class_weighs_one_and_rarer_ones_more():
    assert class_weights([400, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 4.0))
    assert class_weights([400, 100, 25], "inverse_sqrt") == pytest.approx((0.5, 1.0, 2.0))


def test_a_class_without_pixels_changes_no_other():
    assert class_weights([400, 0, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 1.0, 4.0))
    assert class_weights([0, 0], "inverse") == (1.0, 1.0)


def test_none_means_no_weights():
    assert class_weights([1, 2], "none") is None
