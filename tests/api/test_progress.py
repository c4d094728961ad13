from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import xseg
from xseg.api import progress, training
from xseg.api.progress import NotebookProgress, PlainProgress, clock_time, in_notebook, show_progress


@pytest.fixture
def kernel(monkeypatch):
    """A process that looks like the kernel of a notebook."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def screen(text):
    """What a notebook shows of a text: what follows a carriage return replaces the beginning of the line."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_plain_lines_come_now_and_then_with_speed_and_time_left(capsys):
    now = [0.0]
    shown = PlainProgress("predict", 100, "images", clock=lambda: now[0])
    for _ in range(50):
        now[0] += 0.5
        shown.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "predict: 20/100 images, 2.0 images/s, 0:00:40 left",
        "predict: 40/100 images, 2.0 images/s, 0:00:30 left",
    ]


def test_of_an_unknown_total_plain_lines_show_what_is_done(capsys):
    now = [0.0]
    shown = PlainProgress("predict 0", 0, "frames", clock=lambda: now[0])
    for _ in range(25):
        now[0] += 0.5
        shown.advance()
    assert capsys.readouterr().err.splitlines() == ["predict 0: 20 frames, 2.0 frames/s"]


def test_short_work_shows_no_plain_line(capsys):
    with show_progress("predict", 3) as work:
        for _ in range(3):
            work.advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_and_messages_as_they_are(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with show_progress("evaluate val", 2) as work:
        work.advance()
        work.message("[red]a.png[/red] is empty: " + "x" * 300)
        work.advance()
    shown = capsys.readouterr()
    assert shown.out == "", "standard output is for results"
    assert "evaluate val" in shown.err
    assert "2/2" in shown.err
    assert "[red]a.png[/red] is empty: " + "x" * 300 in shown.err.replace("\n", "")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05")])
def test_times_are_hours_minutes_seconds(seconds, text):
    assert clock_time(seconds) == text


def test_only_a_kernel_is_a_notebook(monkeypatch, kernel):
    assert in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))  # IPython in a terminal
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_a_notebook_shows_one_line_that_goes_away(capsys, monkeypatch, kernel):
    monkeypatch.setattr(NotebookProgress, "interval", 0.0)
    with show_progress("evaluate", 3) as work:
        work.advance()
        assert screen(capsys.readouterr().out)[0].startswith("evaluate: 1/3 images, ")
        work.advance()
        work.message("a.png is empty")
        work.advance()
    shown = capsys.readouterr()
    assert shown.err == "", "notebooks show it in red"
    assert screen(shown.out) == ["a.png is empty", ""]


def test_a_training_in_a_notebook_leaves_a_line_per_epoch(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(NotebookProgress, "interval", 0.0)
    for module in (progress, training):  # rich and matplotlib would ask a kernel for more
        monkeypatch.setattr(module, "in_notebook", lambda: True)
    scenes = {"scenes": {"size": [33, 48], "counts": [4, 2, 2]}}
    run = xseg.train(
        data={"reader": "scenes", "layout": scenes, "crop": [33, 48], "batch_size": 2, "workers": 0},
        model={"encoder": "xception", "width": 0.125, "decoder_channels": 8, "depth": 3, "output_stride": 8},
        output_dir=tmp_path / "run",
        max_epochs=2,
        trainer={"accelerator": "cpu"},
    )
    text = capsys.readouterr().out
    assert "\repoch 2: 1/2 batches" in text
    epochs = [line for line in screen(text) if line.startswith("epoch")]
    assert [line.partition("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert run.config["trainer"]["callbacks"] is None
