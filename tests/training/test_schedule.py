import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.training.options.recipe import ScheduleOptions
from xseg.training.schedule import poly_factor


@pytest.mark.parametrize(
    ("step", "options", "expected"),
    [
        (0, ScheduleOptions(), 1.0),
        (50, ScheduleOptions(power=1.0), 0.5),
        (75, ScheduleOptions(power=0.5), 0.5),
        (100, ScheduleOptions(), 0.0),
        (100, ScheduleOptions(power=0.0), 0.0),
        (0, ScheduleOptions(power=0.0, warmup_steps=9), 0.1),
        (4, ScheduleOptions(power=0.0, warmup_steps=9), 0.5),
        (9, ScheduleOptions(power=0.0, warmup_steps=9), 1.0),
    ],
)
def test_values_worked_out_by_hand(step, options, expected):
    assert poly_factor(step, 100, options) == pytest.approx(expected)


def test_the_papers_power_halfway():
    assert poly_factor(50, 100, ScheduleOptions()) == pytest.approx(0.5**0.9)


@given(st.integers(1, 10_000), st.floats(0, 3), st.integers(0, 500), st.data())
def test_no_step_is_wasted_and_none_is_above_the_highest_rate(steps, power, warmup, data):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 < poly_factor(step, steps, ScheduleOptions(power, warmup)) <= 1


@given(st.integers(2, 1000), st.integers(0, 100))
def test_the_rate_falls_after_the_warm_up(steps, warmup):
    options = ScheduleOptions(warmup_steps=warmup)
    factors = [poly_factor(step, steps, options) for step in range(warmup, steps)]
    assert factors == sorted(factors, reverse=True)


def test_a_constant_warm_up_is_tfs_slow_start():
    """0.0001 until the polynomial takes over, which goes on as if it had run all the time."""
    options = ScheduleOptions(warmup="constant", warmup_steps=10, warmup_lr=1e-4)
    rates = [0.007 * poly_factor(step, 100, options, lr=0.007) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-4] * 10)
    assert rates[10:] == pytest.approx([0.007 * (1 - step / 100) ** 0.9 for step in range(10, 100)])


def test_endless_training_keeps_the_highest_rate():
    assert poly_factor(10_000, 2**62, ScheduleOptions()) == pytest.approx(1.0)
