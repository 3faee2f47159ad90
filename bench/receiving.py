"""What a hub's own store costs: parts in, ranges out, beside the least a server can do, in the same run.

`python bench/receiving.py [MIB [ROUNDS]]`. Processor time of the server alone, for each GiB, over that of
`bench/floor.py`: a Python that has nothing to decide. The client is the same for both: four connections, sendfile up,
`recv_into` one buffer down. Both make each part durable before they answer. They take turns.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, median, report
from measuring import cpu_s
from servers import hub_process, server

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferrywire.parts import MIB, part_count, part_span
from tests.integration.hub_content.rig import Person, digest_of

PART = 64 * MIB
LANES = 4
GIB = 1 << 30


@dataclass(frozen=True)
class Request:
    """One part, up or down."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True)
class Cost:
    """Of a round: the server's processor time and everybody's seconds."""

    cpu_s: float
    wall_s: float


def put(port: int, source: Path, requests: Sequence[Request]) -> None:
    """Send parts over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with source.open("rb") as file:
        for each in requests:
            connection.putrequest("PUT", each.path, skip_accept_encoding=True)
            connection.putheader("content-length", str(each.length))
            connection.endheaders()
            offset, end = each.offset, each.offset + each.length
            while offset < end:
                offset += os.sendfile(connection.sock.fileno(), file.fileno(), offset, end - offset)
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(f"PUT: {answer.status} {answer.read()!r}")
            answer.read()
    connection.close()


def get(port: int, source: Path, requests: Sequence[Request]) -> None:
    """Fetch ranges over one connection and throw them away; each first MiB is compared."""
    connection, window = http.client.HTTPConnection("127.0.0.1", port), memoryview(bytearray(MIB))
    with source.open("rb") as file:
        for each in requests:
            span = f"bytes={each.offset}-{each.offset + each.length - 1}"
            connection.request("GET", each.path, headers={"range": span})
            answer, got = connection.getresponse(), 0
            while count := answer.readinto(window):
                if not got and window[:count] != os.pread(file.fileno(), count, each.offset):
                    raise SystemExit("GET: other bytes came back")
                got += count
            if (answer.status, got) != (206, each.length):
                raise SystemExit(f"GET: {answer.status} and {got} bytes")
    connection.close()


def cost(
    move: Callable[[int, Path, Sequence[Request]], None],
    pid: int,
    port: int,
    source: Path,
    requests: Sequence[Request],
) -> Cost:
    """Every lane moves every fourth part."""
    _free_pages(source)
    before, start = cpu_s(pid), time.perf_counter()
    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(lambda lane: move(port, source, requests[lane::LANES]), range(LANES)))
    return Cost(cpu_s(pid) - before, time.perf_counter() - start)


def _free_pages(source: Path) -> None:
    """Have pages for what will be written, which a file had just before, and all else on the disk.

    A virtual machine gets memory from its host page by page, and may take it back: filling a GiB of pages that it does
    not have costs 3 CPU-s instead of 0.3, which whoever comes first would pay.
    """
    window, passing = os.urandom(MIB), source.with_name("passing")
    os.sync()
    for _ in range(2):
        with passing.open("wb", buffering=0) as file:
            for _ in range(source.stat().st_size // MIB + 64):
                file.write(window)
            os.fdatasync(file.fileno())
        passing.unlink()


def spans(size: int) -> Iterator[tuple[int, int]]:
    for number in range(1, part_count(size, PART) + 1):
        yield part_span(size, PART, number)


async def uploading(url: str, token: str, data: bytes) -> tuple[str, list[Request]]:
    """A session for a file, with where to put each part."""
    person, size = Person(url, token), len(data)
    await person.make_project()
    files = [pb.UploadFile(path="f", size_bytes=size, part_size_bytes=PART)]
    session_id = (await person.create(files)).session_id
    digests = [digest_of(memoryview(data)[offset : offset + length]) for offset, length in spans(size)]
    parts = [pb.Part(file_index=0, part_number=number, digest=digest) for number, digest in enumerate(digests, 1)]
    locations = await person.sign(session_id, parts)
    await person.http.aclose()
    return session_id, [Request(location.url.url, *span) for location, span in zip(locations, spans(size), strict=True)]


async def downloading(url: str, token: str, data: bytes, session_id: str) -> list[Request]:
    """Commit the session; where to get each part again."""
    person = Person(url, token)
    made = await person.commit(session_id, [data])
    (file,) = (await person.manifest(made.asset_id)).files
    await person.http.aclose()
    return [Request(file.location.url.url, *span) for span in spans(len(data))]


def floor_round(root: Path, source: Path) -> tuple[Cost, Cost]:
    """Up, down."""
    target = root / "floor"
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(source.stat().st_size)
    with server([sys.executable, str(Path(__file__).with_name("floor.py")), str(target)], r"(\d+)") as (pid, port):
        up = [Request(f"/{offset}", offset, length) for offset, length in spans(source.stat().st_size)]
        return cost(put, pid, int(port), source, up), cost(get, pid, int(port), source, up)


def hub_round(root: Path, source: Path) -> tuple[Cost, Cost]:
    """Up, down."""
    data = source.read_bytes()
    with hub_process(root) as hub:
        token = hub.token("bench@example.org")
        session_id, requests = asyncio.run(uploading(hub.url, token, data))
        up = cost(put, hub.pid, hub.port, source, requests)
        requests = asyncio.run(downloading(hub.url, token, data, session_id))
        return up, cost(get, hub.pid, hub.port, source, requests)


def measure(size: int, rounds: int) -> Iterator[Figure]:
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="fyb") as place:
            source = Path(place) / "source"
            source.write_bytes(os.urandom(size))
            pairs.append((floor_round(Path(place), source), hub_round(Path(place), source)))
    for way, name in enumerate(("parts in", "ranges out")):
        floor, hub = [one[way] for one, _ in pairs], [one[way] for _, one in pairs]
        for who, found in (("floor", floor), ("hub", hub)):
            yield Figure(f"{name}, {who}", median([one.cpu_s for one in found]) * GIB / size, "CPU-s/GiB", runs=rounds)
            yield Figure(f"{name}, {who}", size / 1e6 / median([one.wall_s for one in found]), "MB/s", runs=rounds)
        ratios = [ours.cpu_s / max(bare.cpu_s, 0.01) for bare, ours in zip(floor, hub, strict=True)]
        yield Figure(f"{name}, server CPU over the floor", median(ratios), "×", bar=2.0, runs=rounds)


if __name__ == "__main__":
    words = [*sys.argv[1:], *("1024", "5")[len(sys.argv) - 1 :]]
    sys.exit(report("receiving", list(measure(int(words[0]) * MIB, int(words[1])))))
