"""What forwarding costs: `get_metadata` through the daemon to the embedded hub against a bare gRPC echo, same run.

`python bench/forwarding.py [CALLS]`. The echo is a Python server in a process of its own on a Unix socket, sending
messages of the same sizes. The calls alternate, so that both see the same machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from figures import Figure, fresh_home, quantile, report

from ferryman import Client

WARM_UP = 50
BAR = 4.0
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


def measure(calls: int) -> list[Figure]:
    with fresh_home() as root, Client() as client:
        asset_id = asset(client, root)
        address = f"unix:{root}/echo.sock"
        command = [sys.executable, "-c", ECHO, address, "400"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server, grpc.insecure_channel(address) as channel:
            assert server.stdout is not None
            server.stdout.readline()
            bare = channel.unary_unary("/bench.Echo/Echo", None, None)
            request = asset_id.encode()
            echo, forwarded = alternate(calls, lambda: bare(request), lambda: client.get_metadata(asset_id))
            server.terminate()
    ratio = quantile(forwarded, 0.5) / quantile(echo, 0.5)
    return [
        Figure("bare echo, p50", quantile(echo, 0.5), "µs", runs=calls),
        Figure("bare echo, p99", quantile(echo, 0.99), "µs", runs=calls),
        Figure("forwarded get_metadata, p50", quantile(forwarded, 0.5), "µs", runs=calls),
        Figure("forwarded get_metadata, p99", quantile(forwarded, 0.99), "µs", runs=calls),
        Figure("forwarded over bare, p50", ratio, "×", bar=BAR, runs=calls),
    ]


if __name__ == "__main__":
    sys.exit(report("forwarding", measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
