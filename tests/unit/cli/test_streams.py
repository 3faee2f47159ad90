"""What `ferry` does about its streams and interrupts, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

_INTERRUPTED = """
import os, signal, sys, time
from ferryman.cli.streams import one_interrupt

with one_interrupt():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        print("told", flush=True)
os.kill(os.getpid(), signal.SIGINT)  # somebody impatient, while Python ends
sys.exit(130)
"""


def test_an_interrupt_after_the_first_does_not_change_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "told\n", "")


def test_without_an_interrupt_the_next_one_counts() -> None:
    code = _INTERRUPTED.replace(
        "        os.kill(os.getpid(), signal.SIGINT)\n        time.sleep(60)\n", "        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-2, "")
    assert "KeyboardInterrupt" in done.stderr
