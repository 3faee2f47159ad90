"""Whether a file's size changes what a GiB of it costs: sparse files into the embedded hub and back.

`python bench/sparse.py [GIB ...]`; default 1, 8 and 64. 1,024 is a TiB: every byte of it is hashed, twice up and twice
down, so give it half an hour. The disk holds only the marks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise

from figures import Figure, fresh_home, report
from measuring import cpu_s
from memory import GIB, Peak, sparse

from ferryman import Client

SIZES = (1, 8, 64)


def moved(gib: int) -> Iterator[Figure]:
    with fresh_home() as root, Client() as client:
        project = client.create_project("Sparse").project_id
        file = sparse(root / "big", gib * GIB)
        pid = client.daemon.info().pid
        peak = Peak(pid)
        peak.start()
        marks = [(time.perf_counter(), cpu_s(pid))]
        done = client.upload(file, title="S", owner_type="project", owner_id=project, transfer_timeout_s=None)
        marks.append((time.perf_counter(), cpu_s(pid)))
        client.download(done.asset_id, root / "down", transfer_timeout_s=None)
        marks.append((time.perf_counter(), cpu_s(pid)))
        peak.stop()
    for way, (before, after) in zip(("up", "down"), pairwise(marks), strict=True):
        yield Figure(f"{gib:,} GiB {way}: wall for each GiB", (after[0] - before[0]) / gib, "s")
        yield Figure(f"{gib:,} GiB {way}: CPU for each GiB", (after[1] - before[1]) / gib, "s")
    yield Figure(f"{gib:,} GiB: daemon's peak, anonymous", peak.anonymous_bytes / 1e6, "MB", bar=120.0)


if __name__ == "__main__":
    chosen = [int(word) for word in sys.argv[1:]] or list(SIZES)
    sys.exit(report("sparse", [figure for gib in chosen for figure in moved(gib)]))
