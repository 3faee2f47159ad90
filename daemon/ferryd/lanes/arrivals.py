"""Receives parts into their files: the bytes of several first, then all of them durable together. Download step D8.

What has to reach the disk for the first of them, the journal above all, takes the others along. A part that arrives
wrong is never acknowledged. What is fetched again, and when, is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ferryd.core.ports import FileLocation, Incoming
from ferryd.lanes.durable import AT_ONCE, close_synced, synced_together
from ferryd.lanes.file import receive_local
from ferryd.lanes.halt import Halt
from ferryd.lanes.http import HttpLane
from ferryd.lanes.oserrors import writing
from ferrywire import digest
from ferrywire.reasons import FerryError


class Arrivals:
    """What one thread receives in one visit. `done` gets the block digests of each part, in order."""

    def __init__(self, http: HttpLane, buffer: memoryview, halt: Halt, done: Callable[[bytes], None]) -> None:
        self._http = http
        self._buffer = buffer
        self._halt = halt
        self._done = done

    def receive(self, parts: Sequence[Incoming]) -> None:
        """Fetch these parts. The first failure ends it: those before it are made durable and acknowledged first."""
        for at in range(0, len(parts), AT_ONCE):
            self._receive(parts[at : at + AT_ONCE])

    def _receive(self, parts: Sequence[Incoming]) -> None:
        arrived: list[tuple[Path, int, bytes]] = []
        with ExitStack() as files:
            try:
                for part in parts:
                    fd = files.enter_context(_opened(part.dest))
                    arrived.append((part.dest, fd, self._fetch(part, fd)))
            finally:
                self._acknowledge(arrived)

    def _fetch(self, part: Incoming, fd: int) -> bytes:
        path, span = os.fspath(part.dest), part.span
        if isinstance(part.origin, FileLocation):
            digests = receive_local(part.origin, span, fd, path, self._buffer, self._halt)
        else:
            digests = self._http.receive(part.origin, span, fd, path, self._buffer, self._halt)
        if part.digest is not None and digest.of_blocks(digests) != part.digest:
            message = f"{span.length:,} bytes at {span.offset:,} arrived damaged"
            raise FerryError("CHUNK_CORRUPT", message, partNumber="", offsetBytes=span.offset)
        return digests

    def _acknowledge(self, arrived: Sequence[tuple[Path, int, bytes]]) -> None:
        for at in synced_together([(dest, fd) for dest, fd, _ in arrived]):
            self._done(arrived[at][2])


@contextmanager
def _opened(dest: Path) -> Iterator[int]:
    with writing(dest):
        fd = os.open(dest, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        close_synced(fd)
