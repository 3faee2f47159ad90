"""Runs a program and says what it cost: seconds, processor time, and memory of its own at the peak.

Processes that work for it beside it, as the daemon does for the SDK, count with it.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE_EVERY_S = 0.05
#: Who uses less processor time than that, in that time, rests; one that never does is not waited for.
_REST_CPU_S, _REST_S, _REST_AT_MOST_S = 0.01, 0.2, 10.0


@dataclass(frozen=True)
class Measured:
    """`cpu_s` is the client's, `server_cpu_s` that of what it talks to; `stdout` is what the program printed."""

    wall_s: float
    cpu_s: float
    server_cpu_s: float
    anonymous_bytes: int
    stdout: str = ""


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    beside: Sequence[int] = (),
    servers: Sequence[int] = (),
) -> Measured:
    """Run to the end; SystemExit with what it said when it fails. `beside` and `servers` are pids."""
    cpu_before, server_before = _cpu_s(beside), _cpu_s(servers)
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=None if env is None else {**os.environ, **env},
    ) as process:
        peak = _Peak([process.pid, *beside])
        peak.start()
        assert process.stdout is not None
        stdout = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        peak.stop()
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{stdout[-4000:]}")
    _rested(beside)
    cpu_s = usage.ru_utime + usage.ru_stime + _cpu_s(beside) - cpu_before
    return Measured(wall_s, cpu_s, _cpu_s(servers) - server_before, peak.most_bytes, stdout)


def anonymous_bytes(pid: int) -> int:
    """What a process holds that is not a file's; 0 when it is gone. Linux only."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * 1024 for row in rows if row.startswith("Anonymous:")), 0)


def cpu_s(pid: int) -> float:
    """Processor time of a process, of the children it has waited for, and of those that live."""
    times = psutil.Process(pid).cpu_times()
    living = 0.0
    for child in _children(pid):
        with suppress(psutil.NoSuchProcess):  # it has ended, and counts as waited for
            living += cpu_s(child)
    return living + times.user + times.system + times.children_user + times.children_system


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(cpu_s(pid) for pid in pids)


def _rested(pids: Sequence[int]) -> None:
    """Wait until these do nothing any more: what is put off until the caller has gone is work for it, too."""
    ends, before = time.monotonic() + _REST_AT_MOST_S, -1.0
    while pids and (now := _cpu_s(pids)) - before > _REST_CPU_S and time.monotonic() < ends:
        before = now
        time.sleep(_REST_S)


class _Peak(threading.Thread):
    """The most anonymous memory that some processes and their children had at one moment."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.most_bytes = 0
        self._pids = pids
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.is_set():
            known = [*self._pids, *(child for pid in self._pids for child in _children(pid))]
            self.most_bytes = max(self.most_bytes, sum(anonymous_bytes(pid) for pid in known))
            self._done.wait(_SAMPLE_EVERY_S)

    def stop(self) -> None:
        self._done.set()
        self.join()


def _children(pid: int) -> list[int]:
    """Of all its threads: whoever starts a process is its parent."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in lists for child in text.split()]
