"""Whether a file's size changes what a GiB of it costs: sparse files into the embedded hub and back.

`python bench/sparse.py [GIB ...] [--rounds 5]`; default 1 and 8. 1,024 is a TiB: every byte of it is read and hashed,
so give it one round and an hour. The disk holds only the marks; but a download asks for room for the whole file, for
nobody tells it of holes, so without that only the upload is measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from figures import Figure, fresh_home, median, report
from measuring import cpu_s
from memory import ANONYMOUS_BAR_MB, GIB, Peak, sparse

from ferryman import Client

SIZES = (1, 8)


@dataclass(frozen=True)
class Cost:
    """The daemon's peak, and of one GiB the seconds of the clock and of the processor, by direction."""

    anonymous_bytes: int
    seconds: dict[str, tuple[float, float]]


def moved(gib: int) -> Cost:
    with fresh_home() as root, Client() as client:
        project = client.create_project("Sparse").project_id
        file = sparse(root / "big", gib * GIB)
        pid = client.daemon.info().pid
        peak = Peak(pid)
        peak.start()
        marks = [(time.perf_counter(), cpu_s(pid))]
        done = client.upload(file, title="S", owner_type="project", owner_id=project, transfer_timeout_s=None)
        marks.append((time.perf_counter(), cpu_s(pid)))
        if shutil.disk_usage(root).free > 1.1 * gib * GIB:
            client.download(done.asset_id, root / "down", transfer_timeout_s=None)
            marks.append((time.perf_counter(), cpu_s(pid)))
        peak.stop()
    spent = [((after[0] - before[0]) / gib, (after[1] - before[1]) / gib) for before, after in pairwise(marks)]
    return Cost(peak.anonymous_bytes, dict(zip(("up", "down"), spent, strict=False)))


def figures(gib: int, found: Sequence[Cost]) -> Iterator[Figure]:
    """Medians, and the highest peak."""
    runs = len(found)
    for way in found[0].seconds:
        wall, cpu = (median([one.seconds[way][n] for one in found]) for n in (0, 1))
        yield Figure(f"{gib:,} GiB {way}: wall for each GiB", wall, "s", runs=runs)
        yield Figure(f"{gib:,} GiB {way}: CPU for each GiB", cpu, "s", runs=runs)
    if "down" not in found[0].seconds:
        print(f"no room for {gib:,} GiB on this disk: not downloaded", flush=True)
    most = max(one.anonymous_bytes for one in found)
    yield Figure(f"{gib:,} GiB: daemon's peak, anonymous", most / 1e6, "MB", bar=ANONYMOUS_BAR_MB, runs=runs)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gib", nargs="*", type=int, default=SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(words)
    missed = 0
    for gib in asked.gib:
        missed |= report(f"sparse-{gib}", list(figures(gib, [moved(gib) for _ in range(asked.rounds)])))
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
