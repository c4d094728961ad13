"""Starts `xseg` in processes of its own that begin with everything imported: run as a program, told what by JSON lines.

{"arguments": [...], "variables": {...}, "log": FILE} is answered by the process's id, {"wait": ID} by its exit status.
"""

import json
import os
import sys


def run(order):
    """Be the new process, in a group of its own that a test can signal as a whole."""
    os.setpgrp()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.update(order["variables"])
    sys.argv = ["xseg", *order["arguments"]]
    status = 1
    try:
        from xseg.cli import main

        status = main(order["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def serve():
    import torch

    torch.set_num_threads(1)

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer(os.waitstatus_to_exitcode(status))
            continue
        process = os.fork()
        if not process:
            run(order)
        answer(process)


if __name__ == "__main__":
    serve()
