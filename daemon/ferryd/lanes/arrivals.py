"""Receives a part into its file: from a hub or a store, or from a blob of this machine. Download step D8.

A part that arrives wrong is never acknowledged. What is fetched again, and when, is decided elsewhere; files that come
many together are `short_files.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ferryd.core.ports import FileLocation, Incoming
from ferryd.lanes.durable import close_synced, synced_together
from ferryd.lanes.file import receive_local
from ferryd.lanes.halt import Halt
from ferryd.lanes.http import HttpLane, Inflow
from ferryd.lanes.landing import Landing
from ferryd.lanes.oserrors import writing
from ferrywire import digest
from ferrywire.reasons import FerryError


def receive(http: HttpLane, part: Incoming, buffer: memoryview, halt: Halt) -> bytes:
    """Fetch a part, durably; returns its block digests."""
    with _opened(part.dest) as fd:
        digests = _fetch(http, part, fd, buffer, halt)
        if part.digest is not None and digest.of_blocks(digests) != part.digest:
            raise damaged(part.span.offset, part.span.length)
        for _ in synced_together([(part.dest, fd)]):
            pass
    return digests


def damaged(offset: int, length: int) -> FerryError:
    """What arrived is not what was sent."""
    message = f"{length:,} bytes at {offset:,} arrived damaged"
    return FerryError("CHUNK_CORRUPT", message, partNumber="", offsetBytes=offset)


def _fetch(http: HttpLane, part: Incoming, fd: int, buffer: memoryview, halt: Halt) -> bytes:
    path = os.fspath(part.dest)
    if isinstance(part.origin, FileLocation):
        return receive_local(part.origin, part.span, fd, path, buffer, halt)
    landing = Landing(fd, part.span, path, halt)

    def take(inflow: Inflow) -> None:
        while wanted := landing.wanted:
            landing.take(buffer[: inflow.fill(buffer[:wanted])])

    http.receive(part.origin, part.span, halt, take)
    return landing.block_digests()


@contextmanager
def _opened(dest: Path) -> Iterator[int]:
    with writing(dest):
        fd = os.open(dest, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        close_synced(fd)
