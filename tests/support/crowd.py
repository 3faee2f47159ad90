"""Many clients, each in a process of its own, that call at one instant.

`python -m tests.support.crowd COUNT PROJECT` imports everything once and forks COUNT processes, since two cores cannot
start hundreds of interpreters in a few seconds. Each child makes its own client and connects; `Crowd` gives the order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ferryman import Client, DaemonError

_END = "end"


class Crowd:
    """All members are connected, none has asked the hub for anything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask_at(self, instant: float) -> list[str]:
        """Every member gets the project at this time, in seconds since the epoch; what each was answered: the
        project's id, or the error."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{instant}\n")
        self._process.stdin.flush()
        return list(map(str, json.loads(self._line())))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the crowd has ended"
        return line


@contextmanager
def crowd(count: int, project_id: str, env: Mapping[str, str]) -> Iterator[Crowd]:
    """So many clients of the daemon that lives in this environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd", str(count), project_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(env),
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == ["connected"] * count
        yield Crowd(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _lead(count: int, project_id: str) -> None:
    import ferryman.daemon
    import ferryman.wire  # noqa: F401 - once for all who are forked now

    answers, reply = os.pipe()
    orders = [_fork(reply, project_id) for _ in range(count)]
    with os.fdopen(answers) as lines:
        _tell(lines, count)
        for order in sys.stdin:
            for one in orders:
                os.write(one, order.encode())
            _tell(lines, count)
    for one in orders:
        os.write(one, f"{_END}\n".encode())


def _tell(lines: Iterator[str], count: int) -> None:
    print(json.dumps([next(lines).rstrip("\n") for _ in range(count)]), flush=True)


def _fork(reply: int, project_id: str) -> int:
    """Start a member; returns where it takes its orders."""
    orders, order = os.pipe()
    if os.fork() == 0:
        try:
            _follow(orders, reply, project_id)
        finally:
            os._exit(0)
    os.close(orders)
    return order


def _follow(orders: int, reply: int, project_id: str) -> None:
    """Connect, then ask at each time that is ordered. A line is written whole: it is shorter than a pipe's buffer."""
    with Client(auto_start=False) as client, os.fdopen(orders) as lines:
        client.daemon.info()
        os.write(reply, b"connected\n")
        for line in lines:
            if line.strip() == _END:
                return
            time.sleep(max(0.0, float(line) - time.time()))
            os.write(reply, f"{_ask(client, project_id)}\n".encode())


def _ask(client: Client, project_id: str) -> str:
    try:
        return client.projects.get(project_id).project_id
    except DaemonError as error:
        return " ".join(f"{error!r} {error}".split())


if __name__ == "__main__":
    _lead(int(sys.argv[1]), sys.argv[2])
