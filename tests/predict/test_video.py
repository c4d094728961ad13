from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from silent import Silent

from xseg.predict import video as module
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import Source
from xseg.predict.video import predict_video
from xseg.predict.writer import PredictionWriter

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
SIZE = (48, 64)
FRAMES = 12


@pytest.fixture
def film(tmp_path):
    """A video whose left part is of one colour and right part of another, which change from frame to frame."""
    path = tmp_path / "film.avi"
    output = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE[::-1])
    for number in range(FRAMES):
        frame = np.zeros((*SIZE, 3), np.uint8)
        frame[:, :32], frame[:, 32:] = COLORS[number % 3], COLORS[(number + 1) % 3]
        output.write(frame[..., ::-1])
    output.release()
    return Source(path, "sub/film", "video")


def run(predictor, source, directory, *, reuse=False, **values):
    writer = PredictionWriter(directory, create_outputs(values))
    return predict_video(predictor, source, writer, Silent(), reuse=reuse)


def test_every_frame_gets_its_mask_and_the_overlays_are_a_video(predictor, film, tmp_path):
    row = run(predictor, film, tmp_path / "out")
    assert (row.status, row.height, row.width, row.mask) == ("ok", *SIZE, "masks/sub/film")
    masks = sorted((tmp_path / "out" / "masks" / "sub" / "film").iterdir())
    assert [mask.name for mask in masks] == [f"{number:06}.png" for number in range(1, FRAMES + 1)]
    for number, mask in enumerate(masks):
        values = np.asarray(Image.open(mask))
        assert (values[:, :28] == number % 3).all()
        assert (values[:, 36:] == (number + 1) % 3).all()
    overlays = cv2.VideoCapture(str(tmp_path / "out" / "overlays" / "sub" / "film.mp4"))
    assert overlays.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert overlays.get(cv2.CAP_PROP_FPS) == 10
    there, picture = overlays.read()
    assert there
    assert picture.shape[0] > SIZE[0], "the legend is below"
    assert picture[10, 10].argmax() == 2, "red stays red, in OpenCV's order of channels"


@pytest.mark.parametrize("values", ["index", "color", "raw"])
def test_a_resumed_video_takes_the_masks_that_are_there(predictor, film, tmp_path, values):
    out = tmp_path / "out"
    first = run(predictor, film, out, mask_values=values)
    (out / "masks" / "sub" / "film" / "000005.png").unlink()
    predictor.model.seen.clear()
    assert run(predictor, film, out, reuse=True, mask_values=values).pixels == first.pixels
    assert [shape for shape, _, _ in predictor.model.seen] == [(2, 3, *SIZE)], "the batch that it belongs to"
    assert len(list((out / "masks" / "sub" / "film").iterdir())) == FRAMES
    predictor.model.seen.clear()
    run(predictor, film, out)
    assert len(predictor.model.seen) == FRAMES // 2


@pytest.mark.parametrize("content", [b"", b"no video", b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 100])
def test_what_is_no_video_fails_with_its_name_and_leaves_nothing(predictor, tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    row = run(predictor, Source(path, "film", "video"), tmp_path / "out")
    assert row.status == "failed"
    assert "film.mp4 cannot be opened" in row.error
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_a_video_that_ends_too_early_fails(predictor, film, tmp_path):
    film.path.write_bytes(film.path.read_bytes()[: film.path.stat().st_size * 2 // 3])
    row = run(predictor, film, tmp_path / "out")
    assert row.status == "failed"
    assert "film.avi" in row.error


def test_a_camera_that_is_not_there_fails(predictor, tmp_path):
    row = run(predictor, Source(module.Path("97"), "97", "camera"), tmp_path / "out")
    assert (row.status, row.error) == ("failed", "97 cannot be opened; expected a camera")


@pytest.fixture
def camera(monkeypatch):
    """Camera 0: grey frames for ever, interrupted at the 8th."""

    class Camera:
        def __init__(self):
            self.count = 0

        def isOpened(self):  # noqa: N802 - OpenCV's name
            return True

        def get(self, _):
            return 0.0

        def read(self):
            self.count += 1
            if self.count == 8:
                raise KeyboardInterrupt
            return True, np.full((*SIZE, 3), 99, np.uint8)

        def release(self):
            pass

    real = cv2.VideoCapture
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda name: Camera() if name == 0 else real(name))
    return Source(module.Path("0"), "0", "camera")


def test_a_camera_that_is_interrupted_ends_in_order(predictor, camera, tmp_path):
    assert run(predictor, camera, tmp_path / "out").status == "ok"
    overlays = cv2.VideoCapture(str(tmp_path / "out" / "overlays" / "0.mp4"))
    assert 1 <= overlays.get(cv2.CAP_PROP_FRAME_COUNT) <= 7


def test_a_resumed_camera_takes_no_mask_of_frames_that_were_others(predictor, camera, tmp_path):
    masks = tmp_path / "out" / "masks" / "0"
    masks.mkdir(parents=True)
    for number in range(1, 20):
        Image.fromarray(np.full(SIZE, 2, np.uint8)).save(masks / f"{number:06}.png")
    assert run(predictor, camera, tmp_path / "out", reuse=True).status == "ok"
    written = sorted(masks.iterdir())
    assert 1 <= len(written) <= 7
    assert all((np.asarray(Image.open(mask)) == 0).all() for mask in written)


def test_a_video_that_could_not_be_written_whole_is_an_error(predictor, film, tmp_path, monkeypatch):
    real = cv2.VideoWriter

    class Full:
        """A disk that is full after the third frame, which OpenCV does not tell."""

        fourcc = real.fourcc

        def __init__(self, *arguments):
            self.output, self.count = real(*arguments), 0
            self.isOpened, self.release = self.output.isOpened, self.output.release

        def write(self, picture):
            self.count += 1
            if self.count <= 3:
                self.output.write(picture)

    monkeypatch.setattr(module.cv2, "VideoWriter", Full)
    with pytest.raises(OSError, match="written with 3 of 12 frames"):
        run(predictor, film, tmp_path / "out")
    assert not (tmp_path / "out" / "overlays" / "sub" / "film.mp4").exists()
