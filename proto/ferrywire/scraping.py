"""How daemon and hub show their metrics to Prometheus: on an address of their own, in a thread of its own.

Imported only by a program that was told to have metrics. What is measured is each program's own business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server

#: The upper ends of every histogram of ours, in seconds.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@contextmanager
def serving(registry: CollectorRegistry, host: str, port: int) -> Iterator[str]:
    """Answer `GET /metrics` on this address until the block ends; gives the URL. Port 0: any that is free.

    Error: `RuntimeError` when the address cannot be had.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        raise RuntimeError(f"cannot listen on {host}:{port} for metrics: {error}") from error
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
