"""The code of docs/python.md runs, block by block, in one namespace."""

import re
from pathlib import Path

import xseg

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, "python.md", "exec"), names)
    assert [row["epoch"] for row in names["run"].history] == [1, 2, 3], "resumed"
    assert (tmp_path / "mask.png").is_file()
    assert "resuming from" in capsys.readouterr().out
    assert names["findings"].count("error") == 0
    assert xseg.load(tmp_path / "runs" / "bundle").labels.names == ("ground", "roof")


def test_every_name_that_it_uses_is_public():
    used = set(re.findall(r"\bxseg\.([A-Za-z]\w*)\(", PAGE))
    assert used <= set(xseg.__all__)
    assert {"train", "evaluate", "check_data", "export", "SegmentationTask", "SegmentationData"} <= used
