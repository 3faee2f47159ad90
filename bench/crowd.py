"""Fifty processes that use `Client()` at once where no daemon runs and a stale socket lies: one daemon, fifty answers.

`python bench/crowd.py [ROUNDS]`. From the go signal to the last answer; every process has imported what it uses before.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from figures import Figure, fresh_home, median, report

PROCESSES = 50
#: `tests/e2e/test_many.py` runs the same program. Imports first: the race is about the daemon.
RACER = """
import sys
from ferryman import Client
import ferryman.wire, ferryman.daemon
print("ready", flush=True)
sys.stdin.readline()
with Client() as client:
    print(client.auth_status().user_email, client.daemon.info().pid, flush=True)
sys.stdin.readline()
"""


def race(runtime: Path) -> float:
    """Seconds until the last of the processes had its answer."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(runtime / "daemon.sock"))
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(PROCESSES)
        ]
        for racer in racers:
            assert racer.stdout is not None
            racer.stdout.readline()
        began = time.monotonic()
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = {racer.stdout.readline() for racer in racers if racer.stdout}
        took = time.monotonic() - began  # they end only now: ending is no part of answering
        for racer in racers:
            racer.communicate()
    if len(answers) != 1 or "" in answers:
        raise SystemExit(f"not one daemon's answer: {answers}")
    return took


def main(rounds: int) -> int:
    took = []
    for _ in range(rounds):
        with fresh_home() as root:
            took.append(race(root / "runtime"))
    name = f"{PROCESSES} processes at once, stale socket: last answer"
    return report("crowd", [Figure(name, median(took), "s", bar=2.0, runs=rounds)])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
