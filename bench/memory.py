"""How much memory the daemon takes while large files move: four at once, up and down, to the embedded hub.

`python bench/memory.py [GIB_EACH]`. The files are sparse with a mark in every 64 MiB, so that the disk is not what is
measured. Peaks are sampled every 20 ms; anonymous memory is what the daemon itself holds (Linux only).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil
from figures import Figure, fresh_home, report

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


def measure(gib_each: float) -> list[Figure]:
    with fresh_home() as root, Client() as client:
        project = client.create_project("Memory").project_id
        size = int(gib_each * GIB)
        files = [sparse(root / f"big-{number}", size) for number in range(FILES)]
        pid = client.daemon.info().pid
        idle = psutil.Process(pid).memory_info().rss
        peak = Peak(pid)
        peak.start()
        start = time.perf_counter()
        ups = [client.transfers.upload(f, title=f.name, owner_type="project", owner_id=project) for f in files]
        assets = [up.wait().asset_id for up in ups]
        middle = time.perf_counter()
        downs = [client.transfers.download(asset, root / f"down-{number}") for number, asset in enumerate(assets)]
        for down in downs:
            down.wait()
        end = time.perf_counter()
        peak.stop()
    moved = FILES * size / 1e6
    return [
        Figure("daemon before, resident", idle / 1e6, "MB"),
        Figure("daemon's peak, resident", peak.rss_bytes / 1e6, "MB", bar=RESIDENT_BAR_MB),
        Figure("daemon's peak, anonymous", peak.anonymous_bytes / 1e6, "MB", bar=ANONYMOUS_BAR_MB),
        Figure(f"up, {FILES} × {gib_each:g} GiB at once", moved / (middle - start), "MB/s"),
        Figure(f"down, {FILES} × {gib_each:g} GiB at once", moved / (end - middle), "MB/s"),
    ]


if __name__ == "__main__":
    sys.exit(report("memory", measure(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)))
