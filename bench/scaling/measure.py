"""How long an operation takes: on the clock, and on processors, here and in the database's own processes.

Where other programs have the processors, too, the clock says little. Time on a processor is what is left of it on a
machine with nothing else to do, as long as everything is in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
from figures import median
from sqlalchemy import Connection

from ferryhub.catalogue.database import Transactions

T = TypeVar("T")
#: One operation of a round; says what it found. `None` for the connection's own use.
Work = Callable[[Connection], T]


@dataclass(frozen=True)
class Cost:
    """Medians of one operation, in milliseconds."""

    wall_ms: float
    #: On a processor: the hub's thread and the database's process.
    busy_ms: float
    rounds: int


class Meter:
    """Runs operations in transactions and measures them. `server` is PostgreSQL's first process, if it is here."""

    def __init__(self, transactions: Transactions, server: psutil.Process | None) -> None:
        self.transactions = transactions
        self._server = server

    def cost(self, rounds: int, operation: Callable[[int], Any], prepare: Callable[[int], Any] | None = None) -> Cost:
        """Run `operation(round)` so often, each after `prepare(round)`. Those before 0 warm up and do not count."""
        wall, busy = [], []
        for at in range(-max(1, rounds // 5), rounds):
            if prepare is not None:
                prepare(at)
            began, cpu = time.perf_counter(), self._busy_s()
            operation(at)
            took = time.perf_counter() - began
            if at >= 0:
                wall.append(took * 1e3)
                busy.append((self._busy_s() - cpu) * 1e3)
        return Cost(median(wall), median(busy), rounds)

    def _busy_s(self) -> float:
        mine = time.thread_time()
        return mine if self._server is None else mine + sum(map(_on_processor_s, self._server.children()))


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
