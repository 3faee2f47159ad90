"""What a transfer costs when many are queued: start, submit, page and schedule with 100, 10,000 and 100,000.

`python bench/growth.py [QUEUED ...]`. The hub cannot be reached, as on a train: the queue stays as it is. Rows are
copies of one that the daemon itself made.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from figures import Figure, fresh_home, median, quantile, report, stop_daemon

from ferryd.engine.scheduler import plan
from ferryd.store.store import SqliteStore
from ferryman import Client
from ferrywire.ids import new_id

QUEUED = (100, 10_000, 100_000)
CALLS, STARTS, CLIENTS, RUNNING = 200, 5, 10, 4
#: The largest queue has the bars: p99 of a submit, and the start.
SUBMIT_BAR_MS, START_BAR_S = 50.0, 2.0


def main(sizes: list[int]) -> int:
    figures: list[Figure] = []
    for count in sizes:
        figures += grown(count, largest=count >= QUEUED[-1])
    return report("growth", figures)


def grown(count: int, *, largest: bool) -> Iterator[Figure]:
    with fresh_home() as home:
        os.environ["FERRYMAN_HUB"], os.environ["FERRYMAN_TOKEN"] = "http://127.0.0.1:1", "nobody"
        source = home / "data.csv"
        source.write_bytes(b"a,b\n1,2\n")
        with Client() as client:
            submit(client, source)
        stop_daemon()
        fill(home / "state" / "queue.db", count)
        starts = [started_s() for _ in range(STARTS)]
        with Client() as client:
            submits = timed_ms(lambda: submit(client, source))
            pages = timed_ms(lambda: client.transfers.list(page_size=100))
        stop_daemon()
        schedules = asyncio.run(schedule(home / "state" / "queue.db"))
    bars = (START_BAR_S, SUBMIT_BAR_MS) if largest else (None, None)
    yield Figure(f"{count:,} queued: start to the first page", median(starts), "s", bar=bars[0], runs=STARTS)
    for name, found, bar in (("submit", submits, bars[1]), ("page of 100", pages, None), ("schedule", schedules, None)):
        yield Figure(f"{count:,} queued: {name}, p50", quantile(found, 0.5), "ms", runs=CALLS)
        yield Figure(f"{count:,} queued: {name}, p99", quantile(found, 0.99), "ms", bar=bar, runs=CALLS)


def started_s() -> float:
    """From no daemon to the first page of the queue; no daemon is left."""
    began = time.perf_counter()
    with Client() as client:
        client.transfers.list(page_size=1)
        took_s = time.perf_counter() - began
    stop_daemon()
    return took_s


def submit(client: Client, source: Path) -> None:
    client.transfers.upload(source, title="Table", owner_type="user", owner_id="me")


def timed_ms(call: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return times


async def schedule(database: Path) -> list[float]:
    """Who runs next, from rows to the decision."""
    store, times = await SqliteStore.open(database), []
    try:
        for _ in range(CALLS):
            began = time.perf_counter()
            plan(await store.candidates(RUNNING), running=set(), limit=RUNNING, served={})
            times.append((time.perf_counter() - began) * 1e3)
    finally:
        await store.close()
    return times


def fill(database: Path, count: int) -> None:
    """Copies of the one row there is, with its file and its event, ready to run, of several clients."""
    db = sqlite3.connect(database)
    with db:
        db.row_factory = sqlite3.Row
        first = dict(db.execute("SELECT * FROM transfers").fetchone())
        first |= {"state": "queued", "waiting_for": "slot", "next_attempt_at": None, "attempts": 0, "error": None}
        for number in range(count - 1):
            new = {"id": new_id("trf"), "request_id": str(uuid.uuid4()), "client": f"client-{number % CLIENTS}"}
            _copy(db, "transfers", first, new, leave="seq")
            for table, leave in (("transfer_files", ""), ("transfer_events", "seq")):
                for row in _of(db, table, first["id"]):
                    _copy(db, table, row, {"transfer_id": new["id"]}, leave=leave)
    db.close()


def _of(db: sqlite3.Connection, table: str, transfer_id: str) -> list[dict[str, object]]:
    return [dict(row) for row in db.execute(f"SELECT * FROM {table} WHERE transfer_id = ?", (transfer_id,))]


def _copy(db: sqlite3.Connection, table: str, row: dict[str, object], new: Mapping[str, object], leave: str) -> None:
    values = {name: value for name, value in {**row, **new}.items() if name != leave}
    names = ", ".join(values)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})", values)


if __name__ == "__main__":
    sys.exit(main([int(word) for word in sys.argv[1:]] or list(QUEUED)))
