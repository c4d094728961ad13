from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from xseg.images.normalization import Normalization
from xseg.inference import pipeline as module
from xseg.inference.pipeline import Computer, Request, in_order, run_pipeline
from xseg.inference.prediction import Failure


@pytest.fixture
def files(tmp_path):
    """Return a function that makes images of sizes and gives requests for them."""

    def make(sizes):
        requests = []
        for index, (height, width) in enumerate(sizes):
            path = tmp_path / f"{index}.png"
            Image.fromarray(np.full((height, width, 3), index, np.uint8)).save(path)
            requests.append(Request(index, path))
        return requests

    return make


class Recorder:
    """Computes nothing, and remembers which images were together."""

    def __init__(self, batch_size=1):
        self.batches = []
        self.computer = Computer(self.compute, Normalization(), batch_size)

    def compute(self, images):
        self.batches.append([int(image.array[0, 0, 0]) for image in images])
        return [image.array[0, 0, 0] for image in images]

    def run(self, requests):
        return run_pipeline(self.computer, requests, lambda *item: int(item[2]))


A, B, C = (4, 5), (6, 7), (8, 9)


def test_images_of_one_size_share_batches_though_others_lie_between(files):
    recorder = Recorder(batch_size=2)
    requests = files([A, B, A, C, B, A])
    results = list(in_order(recorder.run(requests)))
    assert results == [0, 1, 2, 3, 4, 5]
    assert sorted(recorder.batches) == [[0, 2], [1, 4], [3], [5]]


def test_an_image_of_a_rare_size_does_not_wait_for_ever(files):
    recorder = Recorder(batch_size=2)
    finished = [item.request.index for item in recorder.run(files([C, *[A] * 5, B, *[A] * 30]))]
    assert sorted(finished) == list(range(37))
    assert finished.index(0) < 36


def test_waiting_is_bounded_in_images_and_in_pixels(files, monkeypatch):
    waiting = [(height, 5) for height in range(1, 40)]  # no two of one size
    recorder = Recorder(batch_size=4)
    iterator = recorder.run(files(waiting))
    assert next(iterator).request.index == 0
    iterator.close()
    assert len(recorder.batches) < 39
    monkeypatch.setattr(module, "DECODED_PIXELS", 50)
    recorder = Recorder(batch_size=40)
    assert list(in_order(recorder.run(files([A, B, A])))) == [0, 1, 2]
    assert sorted(recorder.batches) == [[0], [1], [2]], "20 and 42 pixels together are too many"


def test_large_images_go_alone(files, monkeypatch):
    monkeypatch.setattr(module, "BATCH_PIXELS", 50)
    recorder = Recorder(batch_size=3)
    list(recorder.run(files([A, A, A, C, C])))
    assert sorted(recorder.batches) == [[0, 1], [2], [3], [4]]


SIZES = [A, B, A, A, C, B, A, B, B, A, C, A]


@pytest.mark.parametrize("batch_size", [2, 3])
def test_batches_are_the_same_whatever_is_done_already(files, batch_size):
    """So that a network whose rounding depends on the batch gives a resumed run the same masks."""
    requests = files(SIZES)
    whole = Recorder(batch_size)
    list(whole.run(requests))
    for done in itertools.islice(itertools.combinations(range(len(SIZES)), 5), 0, None, 61):
        marked = [
            Request(r.index, r.path, r.index in done, SIZES[r.index] if r.index in done else None) for r in requests
        ]
        resumed = Recorder(batch_size)
        finished = [item.request.index for item in resumed.run(marked)]
        assert sorted(finished) == [index for index in range(len(SIZES)) if index not in done]
        wanted = [batch for batch in whole.batches if not set(batch) <= set(done)]
        assert sorted(resumed.batches) == sorted(wanted), "batches that are done as a whole are not computed again"


def test_a_done_image_that_changed_or_went_is_left_out(files):
    requests = files([A, A, A, A])
    marked = [Request(0, requests[0].path, True, B), Request(1, requests[1].path, True, A), *requests[2:]]
    requests[1].path.unlink()
    recorder = Recorder(batch_size=2)
    assert sorted(item.result for item in recorder.run(marked)) == [2, 3]


def test_failures_have_their_place(files, tmp_path):
    requests = files([A, A])
    missing = Request(2, tmp_path / "missing.png")
    results = list(
        in_order(Recorder(batch_size=2).run([requests[0], Request(1, missing.path), Request(2, requests[1].path)]))
    )
    assert [isinstance(result, Failure) for result in results] == [False, True, False]


def test_a_file_that_would_not_fit_into_memory_is_refused_before_it_is_decoded(files, monkeypatch):
    requests = files([A])

    def refuse(path, height, width, *, channels):
        assert (height, width, channels) == (*A, 3)
        raise module.DataError(f"{path} is too large")

    monkeypatch.setattr(module, "refuse_oversized", refuse)
    monkeypatch.setattr(module, "to_array", lambda *_: pytest.fail("decoded"))
    (result,) = in_order(Recorder().run(requests))
    assert "is too large" in str(result.error)
