"""A training that ends with the process that started it: `python -m xseg.api.supervise LOCK ARGUMENTS ...`.

The starting process keeps this one's standard input open. When it ends, however it ends, the input ends, and the
training gets SIGTERM, at which it saves its state. The lock makes a later start wait until then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from filelock import FileLock


def main() -> int:
    """Run `xseg train` with the arguments under the lock, and return its exit status."""
    lock, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl+C reaches the training by itself
    with FileLock(lock):
        process = subprocess.Popen([sys.executable, "-m", "xseg", "train", *arguments], stdin=subprocess.DEVNULL)
        threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
        status = process.wait()
    return status if status >= 0 else 128 - status


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    process.terminate()


if __name__ == "__main__":
    sys.exit(main())
