"""How much memory the daemon takes while large files move: four at once, up and down, to the embedded hub.

`python bench/memory.py [GIB_EACH [ROUNDS]]`. The files are sparse with a mark in every 64 MiB, so that
the disk is not what is measured. Peaks are sampled every 20 ms; anonymous memory is what the daemon itself holds
(Linux only).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
from figures import Figure, fresh_home, median, report

from ferryman import Client

GIB = 1 << 30
PART = 64 << 20
FILES = 4
SAMPLE_EVERY_S = 0.02
RESIDENT_BAR_MB, ANONYMOUS_BAR_MB = 150.0, 120.0


class Peak(threading.Thread):
    """Watches a process's memory until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.rss_bytes = 0
        self.anonymous_bytes = 0
        self._process = psutil.Process(pid)
        self._rollup = Path(f"/proc/{pid}/smaps_rollup")
        self._stop_now = threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(SAMPLE_EVERY_S):
            self.rss_bytes = max(self.rss_bytes, self._process.memory_info().rss)
            self.anonymous_bytes = max(self.anonymous_bytes, self._anonymous())

    def stop(self) -> None:
        self._stop_now.set()
        self.join()

    def _anonymous(self) -> int:
        if not self._rollup.exists():
            return 0
        rows = (row.split() for row in self._rollup.read_text().splitlines())
        return next((int(row[1]) * 1024 for row in rows if row[0] == "Anonymous:"), 0)


def sparse(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        os.ftruncate(file.fileno(), size_bytes)
        for number, offset in enumerate(range(0, size_bytes, PART)):
            os.pwrite(file.fileno(), f"{path.name} {number}".encode(), offset)
    return path


@dataclass(frozen=True)
class Moved:
    """One round. Bytes of the daemon, MB/s of the transfers."""

    idle: int
    resident: int
    anonymous: int
    up: float
    down: float


def moved(size: int) -> Moved:
    """Four files up and then down, all at once."""
    with fresh_home() as root, Client() as client:
        project = client.create_project("Memory").project_id
        files = [sparse(root / f"big-{number}", size) for number in range(FILES)]
        pid = client.daemon.info().pid
        idle = psutil.Process(pid).memory_info().rss
        peak = Peak(pid)
        peak.start()
        marks = [time.perf_counter()]
        ups = [client.transfers.upload(f, title=f.name, owner_type="project", owner_id=project) for f in files]
        assets = [up.wait().asset_id for up in ups]
        marks.append(time.perf_counter())
        downs = [client.transfers.download(asset, root / f"down-{number}") for number, asset in enumerate(assets)]
        for down in downs:
            down.wait()
        marks.append(time.perf_counter())
        peak.stop()
    rates = [FILES * size / 1e6 / (after - before) for before, after in pairwise(marks)]
    return Moved(idle, peak.rss_bytes, peak.anonymous_bytes, *rates)


def measure(gib_each: float, rounds: int) -> list[Figure]:
    """The highest peak of all rounds; the rest are medians."""
    found = [moved(int(gib_each * GIB)) for _ in range(rounds)]
    resident, anonymous = max(one.resident for one in found), max(one.anonymous for one in found)
    at_once = f"{FILES} × {gib_each:g} GiB at once"
    return [
        Figure("daemon before, resident", median([one.idle for one in found]) / 1e6, "MB", runs=rounds),
        Figure(f"{at_once}: daemon's peak, resident", resident / 1e6, "MB", bar=RESIDENT_BAR_MB, runs=rounds),
        Figure(f"{at_once}: daemon's peak, anonymous", anonymous / 1e6, "MB", bar=ANONYMOUS_BAR_MB, runs=rounds),
        Figure(f"up, {at_once}", median([one.up for one in found]), "MB/s", runs=rounds),
        Figure(f"down, {at_once}", median([one.down for one in found]), "MB/s", runs=rounds),
    ]


if __name__ == "__main__":
    words = [*sys.argv[1:], *("2", "5")[len(sys.argv) - 1 :]]
    sys.exit(report("memory", measure(float(words[0]), int(words[1]))))
