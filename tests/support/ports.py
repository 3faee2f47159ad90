"""Ports for servers that must listen on one known beforehand, or on the same one again after a restart.

Not those that the kernel gives to whoever asks for any: between two uses somebody else would have it.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Below the ports that Linux and macOS give by themselves (from 32768, from 49152), above those of services.
_FIRST: Final = 12_000
_PER_WORKER: Final = 1_000
_WORKERS: Final = 20


def _turns() -> Iterator[int]:
    """This worker's own ports, from a random one on: two checks on one machine seldom try the same."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % _WORKERS
    start = random.randrange(_PER_WORKER)
    return (_FIRST + worker * _PER_WORKER + (start + turn) % _PER_WORKER for turn in itertools.count())


_untried: Final = _turns()


def free_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    for port in itertools.islice(_untried, _PER_WORKER):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@contextmanager
def dead_port() -> Iterator[int]:
    """A port where nobody listens and nobody can begin to, not even the kernel for whoever connects to it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def free_ports(count: int) -> list[int]:
    """As many different ones."""
    return [free_port() for _ in range(count)]
