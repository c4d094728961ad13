"""When the checkpoint to go on from is saved, and when a wish to stop is followed."""

from types import SimpleNamespace

import pytest

from xseg.training.callbacks import last_checkpoint as module
from xseg.training.callbacks.last_checkpoint import LastCheckpoint, TrainingStopped


class Training:
    """What the callback asks of a Trainer: steps of `accumulate` batches, `processes` of which agree on `others`."""

    def __init__(self, *, accumulate=1, processes=1, others=False):
        self.accumulate_grad_batches, self.world_size = accumulate, processes
        self.global_step, self.is_last_batch, self.saved = 0, False, []
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda wish, **how: wish or (others and not how["all"]))

    def save_checkpoint(self, path):
        self.saved.append((path, self.global_step))

    def run(self, callback, batches, before_each=bool):
        """Return the steps that were saved inside an epoch of so many batches."""
        callback.on_train_start(self, None)
        for index in range(batches):
            before_each(index)
            self.is_last_batch = index + 1 == batches
            self.global_step += (index + 1) % self.accumulate_grad_batches == 0 or self.is_last_batch
            callback.on_train_batch_end(self, None, None, None, index)
        return [step for _, step in self.saved]


@pytest.fixture
def clock(monkeypatch):
    """Return a clock in seconds that stands still unless it is moved."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.mark.parametrize(
    ("steps", "accumulate", "saved"), [(0, 1, []), (1, 1, [*range(1, 12)]), (4, 1, [4, 8]), (2, 3, [2]), (5, 2, [5])]
)
def test_steps_are_saved_whole_and_never_the_last_of_an_epoch(steps, accumulate, saved):
    training = Training(accumulate=accumulate)
    callback = LastCheckpoint("last.ckpt", steps=steps)
    assert training.run(callback, 12) == saved
    callback.on_train_epoch_end(training, None)
    assert training.saved == [("last.ckpt", step) for step in (*saved, 12 // accumulate)]


@pytest.mark.parametrize(("minutes", "saved"), [(0.0, []), (1.0, [3, 6, 9]), (0.1, [*range(1, 10)])])
def test_minutes_count_from_the_last_save(clock, minutes, saved):
    callback = LastCheckpoint("last.ckpt", minutes=minutes)
    clock.seconds += 10_000  # between building and training

    def pass_time(_):
        clock.seconds += 20

    assert Training().run(callback, 10, pass_time) == saved


@pytest.mark.parametrize(("asked_at", "accumulate", "step"), [(2, 1, 3), (0, 4, 1), (5, 4, 2)])
def test_a_wish_to_stop_is_followed_behind_the_step_which_is_saved(asked_at, accumulate, step):
    stop, training = SimpleNamespace(requested=None), Training(accumulate=accumulate)

    def ask(batch):
        stop.requested = "SIGTERM" if batch >= asked_at else None

    with pytest.raises(TrainingStopped, match=f"SIGTERM after step {step}"):
        training.run(LastCheckpoint("last.ckpt", stop=stop), 20, ask)
    assert training.saved == [("last.ckpt", step)]


def test_of_several_processes_one_stops_all_at_a_step_where_they_ask_each_other():
    training = Training(processes=2, others=True)
    with pytest.raises(TrainingStopped, match="another process after step 10"):
        training.run(LastCheckpoint("last.ckpt", stop=SimpleNamespace(requested=None)), 20)
    training = Training(processes=2, others=True)
    training.global_step = 3
    with pytest.raises(TrainingStopped, match="another process after step 3"):
        LastCheckpoint("last.ckpt").on_train_epoch_end(training, None)
    assert training.saved == [("last.ckpt", 3)]


def test_a_state_that_is_refused_is_not_saved():
    def refuse(trainer):
        raise ValueError(f"step {trainer.global_step} is not worth it")

    training = Training()
    with pytest.raises(ValueError, match="step 2 is not worth it"):
        training.run(LastCheckpoint("last.ckpt", steps=2, before=refuse), 9)
    assert training.saved == []
