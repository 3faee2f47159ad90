"""Receives parts into their files: the bytes of several first, then all of them durable together. Download step D8.

What has to reach the disk for the first of them, the journal above all, takes the others along. A part that arrives
wrong is never acknowledged. What is fetched again, and when, is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Incoming, UrlLocation
from ferryd.lanes.durable import AT_ONCE, close_synced, synced_together
from ferryd.lanes.file import receive_local
from ferryd.lanes.halt import Halt
from ferryd.lanes.http import HttpLane, several
from ferryd.lanes.oserrors import writing
from ferrywire import digest
from ferrywire.reasons import FerryError

#: `HttpLane.receive_several` and `receive_run`.
_Receive = Callable[
    [
        Sequence[tuple[UrlLocation, Span]],
        Callable[[int], tuple[int, str]],
        memoryview,
        Halt,
        Callable[[bytes], None],
    ],
    None,
]
#: A part's file: its path, its descriptor, and the digests of the part's blocks.
_Arrived = tuple[Path, int, bytes]


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
        arrived: list[_Arrived] = []
        with ExitStack() as files:
            try:
                for alone, runs in groupby(_runs(parts), lambda run: len(run) == 1):
                    if alone:
                        self._fetch_apart([part for (part,) in runs], arrived, files)
                        continue
                    for run in runs:
                        self._fetch_together(self._http.receive_run, run, arrived, files)
            finally:
                self._acknowledge(arrived)

    def _fetch_apart(self, parts: Sequence[Incoming], arrived: list[_Arrived], files: ExitStack) -> None:
        for together in several(parts, lambda part: part.origin):
            self._fetch_all(together, arrived, files)

    def _fetch_all(self, parts: Sequence[Incoming], arrived: list[_Arrived], files: ExitStack) -> None:
        """Several at a time; when that does not get on, one alone."""
        while parts:
            before = len(arrived)
            if len(parts) > 1:
                self._fetch_together(self._http.receive_several, parts, arrived, files)
            if len(arrived) == before:
                fd = files.enter_context(_opened(parts[0].dest))
                arrived.append((parts[0].dest, fd, self._fetch(parts[0], fd)))
            parts = parts[len(arrived) - before :]

    def _fetch_together(
        self, receive: _Receive, parts: Sequence[Incoming], arrived: list[_Arrived], files: ExitStack
    ) -> None:
        first, opened = len(arrived), [-1]

        def open_dest(at: int) -> tuple[int, str]:
            opened[0] = files.enter_context(_opened(parts[at].dest))
            return opened[0], os.fspath(parts[at].dest)

        def done(digests: bytes) -> None:
            part = parts[len(arrived) - first]
            arrived.append((part.dest, opened[0], _verified(part, digests)))

        wanted = [(part.origin, part.span) for part in parts if isinstance(part.origin, UrlLocation)]
        receive(wanted, open_dest, self._buffer, self._halt, done)

    def _fetch(self, part: Incoming, fd: int) -> bytes:
        path, span = os.fspath(part.dest), part.span
        if isinstance(part.origin, FileLocation):
            digests = receive_local(part.origin, span, fd, path, self._buffer, self._halt)
        else:
            digests = self._http.receive(part.origin, span, fd, path, self._buffer, self._halt)
        return _verified(part, digests)

    def _acknowledge(self, arrived: Sequence[_Arrived]) -> None:
        for at in synced_together([(dest, fd) for dest, fd, _ in arrived]):
            self._done(arrived[at][2])


def _runs(parts: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    """Cut parts, in order, into those that follow each other in one pack."""
    run: list[Incoming] = []
    for part in parts:
        if run and not _follows(run[-1], part):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _follows(before: Incoming, after: Incoming) -> bool:
    """Whether a part comes right after another at the same URL."""
    a, b = before.origin, after.origin
    if not (isinstance(a, UrlLocation) and isinstance(b, UrlLocation)) or (a.url, a.headers) != (b.url, b.headers):
        return False
    return a.offset + before.span.offset + before.span.length == b.offset + after.span.offset


def _verified(part: Incoming, digests: bytes) -> bytes:
    if part.digest is not None and digest.of_blocks(digests) != part.digest:
        message = f"{part.span.length:,} bytes at {part.span.offset:,} arrived damaged"
        raise FerryError("CHUNK_CORRUPT", message, partNumber="", offsetBytes=part.span.offset)
    return digests


@contextmanager
def _opened(dest: Path) -> Iterator[int]:
    with writing(dest):
        fd = os.open(dest, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        close_synced(fd)
