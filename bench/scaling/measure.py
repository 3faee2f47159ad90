"""How long an operation takes: on the clock, and on processors, here and in the database's own processes.

Where other programs have the processors, too, the clock says little. Time on a processor is what is left of it on a
machine with nothing else to do, as long as everything is in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from figures import median

from ferryhub.catalogue.database import Transactions


@dataclass(frozen=True)
class Cost:
    """Medians of one operation, in milliseconds."""

    wall_ms: float
    #: On a processor: the hub's thread and the database's process.
    busy_ms: float
    rounds: int
    #: The database's process alone; 0 where it has none of its own, or it is not here.
    served_ms: float


class Meter:
    """Runs operations in transactions and measures them. `server` is PostgreSQL's first process, if it is here."""

    def __init__(self, transactions: Transactions, server: psutil.Process | None) -> None:
        self.transactions = transactions
        self._server = server

    def cost(self, rounds: int, operation: Callable[[int], Any], prepare: Callable[[int], Any] | None = None) -> Cost:
        """Run `operation(round)` so often, each after `prepare(round)`. Those before 0 warm up and do not count."""
        wall, busy, served = [], [], []
        backends: list[psutil.Process] = []
        for at in range(-max(1, rounds // 5), rounds):
            if prepare is not None:
                prepare(at)
            # Looking for processes takes a while; by the last round of the warm-up all are there.
            backends = self._backends() if at <= 0 else backends
            theirs, mine = sum(map(_on_processor_s, backends)), time.thread_time()
            began = time.perf_counter()
            operation(at)
            took, mine = time.perf_counter() - began, time.thread_time() - mine
            if at >= 0:
                theirs = sum(map(_on_processor_s, backends)) - theirs
                wall.append(took * 1e3)
                busy.append((mine + theirs) * 1e3)
                served.append(theirs * 1e3)
        return Cost(median(wall), median(busy), rounds, median(served))

    def _backends(self) -> list[psutil.Process]:
        return [] if self._server is None else self._server.children()


def _on_processor_s(process: psutil.Process) -> float:
    """To the nanosecond on Linux; elsewhere to the hundredth of a second."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return _coarse_s(process)


def _coarse_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
