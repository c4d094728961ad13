import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from data_fixtures import folders, make_folders, save_fixture

__all__ = ["folders", "make_folders", "save_fixture"]
_spec = importlib.util.spec_from_file_location("training_tiny", Path(__file__).with_name("tiny.py"))
_tiny = importlib.util.module_from_spec(_spec)
sys.modules["training_tiny"] = _tiny
_spec.loader.exec_module(_tiny)


@pytest.fixture
def tiny():
    """What the tests of this folder share: see tiny.py."""
    return _tiny


class Forks:
    """Processes that run `xseg`, started quickly: see forks.py."""

    def __init__(self, folder):
        self.log, self._read = folder / "log.txt", 0
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        program = [sys.executable, str(Path(__file__).with_name("forks.py"))]
        self._server = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        )

    def _ask(self, **order):
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, *arguments, **variables):
        """Start `xseg` and return the process's id."""
        return self._ask(arguments=[str(each) for each in arguments], variables=variables, log=str(self.log))

    def wait(self, process):
        """Return the exit status; the negative signal for a killed one."""
        return self._ask(wait=process)

    def told(self):
        """Return what was said since this was last asked."""
        data = self.log.read_bytes() if self.log.exists() else b""
        new, self._read = data[self._read :], len(data)
        return new.decode()

    def run(self, *arguments, **variables):
        return self.wait(self.start(*arguments, **variables))

    def start_together(self, count, *arguments):
        """Start a training of several processes, as torchrun would."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "NODE_RANK": "0"}
        devices = ["--trainer.devices", count, "--trainer.strategy", "ddp"]
        return [self.start(*arguments, *devices, **meeting, LOCAL_RANK=str(rank)) for rank in range(count)]

    def close(self):
        self._server.stdin.close()
        self._server.wait()


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()
