from __future__ import annotations

import sys

import pytest

from xseg.api.progress import PlainProgress, clock_time, show_progress


def test_plain_lines_come_now_and_then_with_speed_and_time_left(capsys):
    now = [0.0]
    progress = PlainProgress("predict", 100, "images", clock=lambda: now[0])
    for _ in range(50):
        now[0] += 0.5
        progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "predict: 20/100 images, 2.0 images/s, 0:00:40 left",
        "predict: 40/100 images, 2.0 images/s, 0:00:30 left",
    ]


def test_of_an_unknown_total_plain_lines_show_what_is_done(capsys):
    now = [0.0]
    progress = PlainProgress("predict 0", 0, "frames", clock=lambda: now[0])
    for _ in range(25):
        now[0] += 0.5
        progress.advance()
    assert capsys.readouterr().err.splitlines() == ["predict 0: 20 frames, 2.0 frames/s"]


def test_short_work_shows_no_plain_line(capsys):
    with show_progress("predict", 3) as progress:
        for _ in range(3):
            progress.advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_and_messages_as_they_are(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with show_progress("evaluate val", 2) as progress:
        progress.advance()
        progress.message("[red]a.png[/red] is empty: " + "x" * 300)
        progress.advance()
    shown = capsys.readouterr()
    assert shown.out == "", "standard output is for results"
    assert "evaluate val" in shown.err
    assert "2/2" in shown.err
    assert "[red]a.png[/red] is empty: " + "x" * 300 in shown.err.replace("\n", "")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05")])
def test_times_are_hours_minutes_seconds(seconds, text):
    assert clock_time(seconds) == text
