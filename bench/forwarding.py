"""What forwarding costs: `get_metadata` through the daemon against a bare gRPC echo, same run; one caller, and many.

`python bench/forwarding.py [CALLS [PROCESSES,… [SECONDS]]]`; 1, 8 and 64 processes. To the embedded hub and to one on
loopback. The echo is a Python server in a process of its own on a Unix socket, sending messages of the same sizes. The
calls alternate, and so do the crowds of processes, so that both see the same machine. The hub may answer from memory
what has not changed; "just changed" is where it cannot, "of what changes" where it cannot for long.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from figures import Figure, fresh_home, median, quantile, report
from servers import home_of, hub_process

from ferryman import Client

WARM_UP = 50
ROUNDS = 5
#: So many processes have a bar.
MANY, MANY_BAR = 64, 0.6
ECHO = """
import asyncio, sys
import grpc

async def echo(request, context):
    return reply

async def main():
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", {"Echo": method})])
    server.add_insecure_port(sys.argv[1])
    await server.start()
    print(flush=True)
    await server.wait_for_termination()

reply = bytes(int(sys.argv[2]))
try:
    import uvloop
    uvloop.run(main())
except (ImportError, KeyboardInterrupt):
    asyncio.run(main())
"""
#: One of many callers: connects, waits for the moment, calls until the end, and prints how often it was answered.
CALLER = """
import sys, time

def calls(words):
    if words[0] == "echo":
        import grpc
        bare = grpc.insecure_channel(words[1]).unary_unary("/bench.Echo/Echo", None, None)
        return lambda: bare(words[2].encode())
    from ferryman import Client
    client = Client()
    client.connect()
    return lambda: client.get_metadata(words[1])

call = calls(sys.argv[1:])
call()
print("ready", flush=True)
begin, seconds = map(float, sys.stdin.readline().split())
time.sleep(max(0, begin - time.time()))
count, end = 0, begin + seconds
while time.time() < end:
    call()
    count += 1
print(count)
"""


def timed_us(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def alternate(calls: int, one: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Times of both, in turn, after a warm-up that is thrown away."""
    pairs = [(timed_us(one), timed_us(other)) for _ in range(calls + WARM_UP)][WARM_UP:]
    return [first for first, _ in pairs], [second for _, second in pairs]


def asset(client: Client, root: Path) -> str:
    """An asset with the metadata a small table has."""
    file = root / "data.csv"
    file.write_bytes(b"a,b\n1,2\n")
    project = client.create_project("Forwarding").project_id
    known = {"instrument": "SEM 3", "sample": "A-17", "temperature_k": 293, "columns": ["a", "b"]}
    done = client.upload(file, title="Table", owner_type="project", owner_id=project, tags=["csv"], metadata=known)
    return done.asset_id


@contextmanager
def echo_server(root: Path) -> Iterator[str]:
    """The bare server; its address."""
    address = f"unix:{root}/echo.sock"
    command = [sys.executable, "-c", ECHO, address, "400"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield address
        finally:
            server.terminate()


def just_changed(client: Client, asset_id: str, calls: int) -> list[float]:
    """Times of `get_metadata` where the hub cannot answer from memory, for the asset was written a moment before."""
    times = []
    for number in range(calls):
        client.set_metadata(asset_id, title=f"Table {number}")
        times.append(timed_us(lambda: client.get_metadata(asset_id)))
    return times


def one_caller(kind: str, bar: float, calls: int, client: Client, root: Path) -> Iterator[Figure]:
    """p50 and p99 of both, and how many times as long the forwarded call takes."""
    asset_id = asset(client, root)
    with echo_server(root) as address, grpc.insecure_channel(address) as channel:
        bare = channel.unary_unary("/bench.Echo/Echo", None, None)
        request = asset_id.encode()
        echo, forwarded = alternate(calls, lambda: bare(request), lambda: client.get_metadata(asset_id))
    changed = just_changed(client, asset_id, max(1, calls // 5))
    yield Figure(f"get_metadata, {kind}, just changed, p50", quantile(changed, 0.5), "µs", runs=len(changed))
    for name, found in (("bare echo", echo), (f"get_metadata, {kind}", forwarded)):
        yield Figure(f"{name}, p50", quantile(found, 0.5), "µs", runs=calls)
        yield Figure(f"{name}, p99", quantile(found, 0.99), "µs", runs=calls)
    ratio = quantile(forwarded, 0.5) / quantile(echo, 0.5)
    yield Figure(f"get_metadata, {kind}, over bare", ratio, "×", bar=bar, runs=calls)


def crowd_rate(processes: int, seconds: float, words: Sequence[str]) -> float:
    """Calls a second of all processes together, all of them calling for the whole time."""
    command = [sys.executable, "-c", CALLER, *words]
    with ExitStack() as stack:
        callers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True),
            )
            for _ in range(processes)
        ]
        for caller in callers:
            assert caller.stdout is not None
            caller.stdout.readline()
        for caller in callers:
            assert caller.stdin is not None
            caller.stdin.write(f"{time.time() + 0.5} {seconds}\n")
            caller.stdin.flush()
        return sum(int(caller.communicate()[0]) for caller in callers) / seconds


@contextmanager
def written_to(client: Client, asset_id: str) -> Iterator[None]:
    """Somebody changes the asset fifty times a second, so that no answer lasts long."""
    end = threading.Event()

    def write() -> None:
        number = 0
        while not end.wait(0.02):
            client.set_metadata(asset_id, title=f"Table {number}")
            number += 1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield
        finally:
            end.set()
        writing.result()


def crowd(processes: int, seconds: float, client: Client, root: Path) -> Iterator[Figure]:
    """Many processes, each with a client of its own."""
    asset_id, pairs = asset(client, root), []
    with echo_server(root) as address:
        for _ in range(ROUNDS):
            echo = crowd_rate(processes, seconds, ["echo", address, asset_id])
            pairs.append((echo, crowd_rate(processes, seconds, ["ferry", asset_id])))
        with written_to(client, asset_id):
            changing = crowd_rate(processes, seconds, ["ferry", asset_id])
    yield Figure(f"get_metadata from {processes} processes, of what changes", changing, "/s", runs=1)
    yield Figure(f"bare echo from {processes} processes", median([echo for echo, _ in pairs]), "/s", runs=ROUNDS)
    yield Figure(f"get_metadata from {processes} processes", median([ours for _, ours in pairs]), "/s", runs=ROUNDS)
    ratio = median([ours / echo for echo, ours in pairs])
    bar = MANY_BAR if processes == MANY else None
    yield Figure(f"get_metadata over bare, {processes} processes", ratio, "×", bar=bar, runs=ROUNDS, least=True)


def measure(calls: int, crowds: Sequence[int], seconds: float) -> list[Figure]:
    figures: list[Figure] = []
    with fresh_home() as root, Client() as client:
        figures += one_caller("embedded hub", 2.5, calls, client, root)
        for processes in crowds:
            figures += crowd(processes, seconds, client, root)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fyb")))
        root = stack.enter_context(home_of(stack.enter_context(hub_process(place))))
        figures += one_caller("remote hub", 4.5, calls, stack.enter_context(Client()), root)
    return figures


if __name__ == "__main__":
    words = [*sys.argv[1:], *("1000", "1,8,64", "2")[len(sys.argv) - 1 :]]
    crowds = [int(word) for word in words[1].split(",")]
    sys.exit(report("forwarding", measure(int(words[0]), crowds, float(words[2]))))
