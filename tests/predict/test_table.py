from __future__ import annotations

import csv
import json

import pytest

from xseg.errors import DataError
from xseg.predict.table import COLUMNS, PredictionRow, growing_table, read_table, write_table

ROWS = [
    PredictionRow("a,b.png", "ok", 3, 2, 0.5, json.dumps({'a "b"': 6}), "masks/a,b.png"),
    PredictionRow('c "d"\n.png', "failed", error="c: wrong; expected\nmore, or less"),
    PredictionRow("é.png", "ok", 1, 1, 0.25, '{"x": 1}', "masks/é.png"),
]


def test_the_table_reads_back_whatever_is_in_it(tmp_path):
    path = write_table(ROWS, tmp_path / "deep" / "predictions.csv")
    with path.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["path", "status", "width", "height", "seconds", "pixels", "mask", "error"]
    assert json.loads(read[0]["pixels"]) == {'a "b"': 6}
    assert (read[1]["width"], read[1]["error"]) == ("", ROWS[1].error)
    assert read_table(path) == ROWS


def test_wherever_the_file_is_cut_every_whole_row_before_is_read(tmp_path):
    path = write_table(ROWS, tmp_path / "predictions.csv")
    whole = path.read_bytes()
    starts = [len(write_table(ROWS[:count], tmp_path / "part.csv").read_bytes()) for count in range(4)]
    for cut in range(starts[0], len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert read_table(path) == ROWS[: sum(start <= cut for start in starts) - 1]


def test_rows_are_in_the_file_as_soon_as_they_are_appended_and_in_order_at_the_end(tmp_path):
    path = tmp_path / "predictions.csv"
    order = [row.path for row in ROWS]
    with growing_table(path, ROWS[2:], order) as table:
        assert read_table(path) == ROWS[2:]
        table.append(ROWS[1])
        assert read_table(path) == [ROWS[2], ROWS[1]]
        table.append(ROWS[0])
    assert read_table(path) == ROWS


def test_the_table_is_put_in_order_after_an_error_too(tmp_path):
    path = tmp_path / "predictions.csv"

    def interrupted():
        with growing_table(path, [], [row.path for row in ROWS]) as table:
            table.append(ROWS[1])
            table.append(ROWS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read_table(path) == ROWS[:2]


def test_a_full_disk_at_the_end_leaves_the_rows_as_they_came(tmp_path, monkeypatch):
    path = tmp_path / "predictions.csv"
    with growing_table(path, [], [row.path for row in ROWS]) as table:
        table.append(ROWS[1])
        table.append(ROWS[0])

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("xseg.predict.table.write_text", full)
    assert read_table(path) == [ROWS[1], ROWS[0]]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\na,ok,x,1,,,,\nb,ok,1,1,,,,\n"])
def test_another_programs_table_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=r"t\.csv"):
        read_table(tmp_path / "t.csv")
