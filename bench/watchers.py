"""What watchers cost the daemon: the same transfers with 0, 1 and 100 of them, embedded hub.

`python bench/watchers.py [TRANSFERS [ROUNDS]]`. The watchers are streams of one process beside us, each of every
transfer; all must have heard of every end.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, fresh_home, median, report
from measuring import cpu_s

from ferryman import Client

WATCHERS = (0, 1, 100)
#: Prints a line when every watcher has had its snapshot, and one when every one has heard of so many ends.
PROGRAM = """
import asyncio, sys
from ferryman import AsyncClient

watchers, wanted = int(sys.argv[1]), int(sys.argv[2])

async def main():
    async with AsyncClient() as client:
        begun, events = asyncio.Semaphore(0), 0
        async def watch():
            nonlocal events
            ended = set()
            async for info in client.transfers.watch():
                events += 1
                if len(ended) == 0:
                    begun.release()
                ended |= {info.transfer_id} if info.state == "succeeded" else set()
                if len(ended) == wanted:
                    return
        tasks = [asyncio.ensure_future(watch()) for _ in range(watchers)]
        for _ in tasks:
            await begun.acquire()
        print(flush=True)
        await asyncio.gather(*tasks)
        print(events, flush=True)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Cost:
    """Of one transfer, in ms; and what the watchers were told in all."""

    wall_ms: float
    daemon_cpu_ms: float
    events: int


def watched(client: Client, root: Path, transfers: int, watchers: int) -> Cost:
    project = client.create_project("Watched").project_id
    file = root / "data.csv"
    file.write_bytes(b"a,b\n1,2\n")
    client.upload(file, title="First", owner_type="project", owner_id=project)
    pid = client.daemon.info().pid
    with ExitStack() as stack:
        words = [sys.executable, "-c", PROGRAM, str(watchers), str(transfers + 1)]
        crowd = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert crowd.stdout is not None
        crowd.stdout.readline()
        began, cpu = time.perf_counter(), cpu_s(pid)
        moving = [
            client.transfers.upload(file, title=f"T{number}", owner_type="project", owner_id=project)
            for number in range(transfers)
        ]
        for one in moving:
            one.wait()
        events = int(crowd.stdout.readline())
        return Cost(
            (time.perf_counter() - began) * 1e3 / transfers,
            (cpu_s(pid) - cpu) * 1e3 / transfers,
            events,
        )


def main(transfers: int, rounds: int) -> int:
    costs: dict[int, list[Cost]] = {count: [] for count in WATCHERS}
    for _ in range(rounds):
        for count in WATCHERS:
            with fresh_home() as root, Client() as client:
                costs[count].append(watched(client, root, transfers, count))
    figures = []
    for count, found in costs.items():
        figures.append(
            Figure(f"{count} watchers: a transfer", median([one.wall_ms for one in found]), "ms", runs=rounds)
        )
        cpu = median([one.daemon_cpu_ms for one in found])
        figures.append(Figure(f"{count} watchers: the daemon's CPU for it", cpu, "ms", runs=rounds))
        figures.append(Figure(f"{count} watchers: events", median([one.events for one in found]), "", runs=rounds))
    return report("watchers", figures)


if __name__ == "__main__":
    chosen = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*[*chosen, *(200, 5)[len(chosen) :]]))
