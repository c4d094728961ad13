import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.training.optimizers import rate_factor
from xseg.training.options.recipe import ScheduleOptions


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
    assert rate_factor(step, options, steps=100) == pytest.approx(expected)


def test_the_papers_power_halfway():
    assert rate_factor(50, ScheduleOptions(), steps=100) == pytest.approx(0.5**0.9)


@given(st.integers(1, 10_000), st.floats(0, 3), st.integers(0, 500), st.data())
def test_no_step_is_wasted_and_none_is_above_the_highest_rate(steps, power, warmup, data):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 < rate_factor(step, ScheduleOptions(power=power, warmup_steps=warmup), steps=steps) <= 1


@given(st.integers(2, 1000), st.integers(0, 100))
def test_the_rate_falls_after_the_warm_up(steps, warmup):
    options = ScheduleOptions(warmup_steps=warmup)
    factors = [rate_factor(step, options, steps=steps) for step in range(warmup, steps)]
    assert factors == sorted(factors, reverse=True)


def test_a_constant_warm_up_is_tfs_slow_start():
    """0.0001 until the polynomial takes over, which goes on as if it had run all the time."""
    options = ScheduleOptions(warmup="constant", warmup_steps=10, warmup_lr=1e-4)
    rates = [0.007 * rate_factor(step, options, steps=100, lr=0.007) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-4] * 10)
    assert rates[10:] == pytest.approx([0.007 * (1 - step / 100) ** 0.9 for step in range(10, 100)])


def test_endless_training_keeps_the_highest_rate():
    assert rate_factor(10_000, ScheduleOptions(), steps=2**62) == pytest.approx(1.0)


@pytest.mark.parametrize("changes", [{"name": "poly"}, {"name": "exponential"}, {"name": "constant"}])
def test_a_warm_up_rises_and_changes_no_later_step(changes):
    def factors(**more):
        options = ScheduleOptions(**changes, **more)
        return [rate_factor(step, options, steps=20, steps_per_epoch=2) for step in range(20)]

    plain, risen = factors(), factors(warmup_steps=4)
    assert risen[:4] == pytest.approx([share * rate for share, rate in zip((0.2, 0.4, 0.6, 0.8), plain, strict=False)])
    assert risen[4:] == plain[4:]


def test_the_papers_rate_falls_by_094_every_two_epochs_and_not_between():
    options = ScheduleOptions(name="exponential")
    factors = [rate_factor(step, options, steps=100, steps_per_epoch=5.0) for step in range(31)]
    assert factors == pytest.approx([0.94 ** (step // 10) for step in range(31)])


def test_the_rate_of_jft_falls_by_09_every_three_million_images():
    options = ScheduleOptions(name="exponential", decay=0.9, decay_samples=3_000_000)
    factors = [rate_factor(step, options, steps=100, images_per_step=100_000) for step in (29, 30, 59, 60)]
    assert factors == pytest.approx([1, 0.9, 0.9, 0.81])
