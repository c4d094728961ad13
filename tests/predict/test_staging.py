from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from xseg.errors import ConfigError
from xseg.predict.staging import OWNER, OutputFolder, exclusive

HOLD = "import sys, time; from pathlib import Path; from xseg.predict.staging import OutputFolder, exclusive\n"
HOLD += "with exclusive(OutputFolder(Path(sys.argv[1]))):\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_who_holds_the_folder_and_a_killed_one_holds_it_no_more(tmp_path, holder):
    with (
        pytest.raises(ConfigError, match=rf"in use by another run \(process {holder.pid} on "),
        exclusive(OutputFolder(tmp_path)),
    ):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / OWNER).is_file(), "the note of a killed run stays"
    with exclusive(OutputFolder(tmp_path)):
        assert json.loads((tmp_path / OWNER).read_text())["pid"] == str(os.getpid())


def test_the_note_goes_with_the_run(tmp_path):
    for _ in range(2):
        with exclusive(OutputFolder(tmp_path / "new" / "folder")):
            assert (tmp_path / "new" / "folder" / OWNER).is_file()
        assert not (tmp_path / "new" / "folder" / OWNER).exists()


def test_a_run_on_another_machine_is_believed(tmp_path):
    (tmp_path / OWNER).write_text(json.dumps({"host": "elsewhere", "pid": "7", "started": "yesterday"}))
    message = r"process 7 on elsewhere since yesterday.*if it no longer runs, remove "
    with pytest.raises(ConfigError, match=message), exclusive(OutputFolder(tmp_path)):
        pass
    (tmp_path / OWNER).write_text("no JSON")
    with exclusive(OutputFolder(tmp_path)):
        pass
