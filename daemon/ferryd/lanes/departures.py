"""Sends parts to where the hub wants them. Upload step 8.

Over HTTP small ones go several at a time, others one after the other. Between two files of this machine several are
copied first and then made durable together. A part is acknowledged when the receiver has it durably. What is sent
again, and when, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from pathlib import Path

from ferryd.core.model import SourceFile, Span
from ferryd.core.ports import FileLocation, Location, Outgoing, UrlLocation
from ferryd.lanes.durable import AT_ONCE, sync_data, synced_together
from ferryd.lanes.file import copy_verified, opened_staging
from ferryd.lanes.halt import Halt
from ferryd.lanes.hashing import EndOfFile, hash_span
from ferryd.lanes.http import HttpLane, several
from ferryd.lanes.oserrors import writing
from ferryd.lanes.packs import gathered
from ferryd.lanes.pagecache import Passing
from ferryd.lanes.source import changed, opened_whole
from ferryd.lanes.windows import read_at, write_at
from ferrywire.reasons import FerryError


class Departures:
    """What one thread sends in one visit. `done` is told of each part, in order."""

    def __init__(
        self, http: HttpLane, passing: Passing, buffer: memoryview, halt: Halt, done: Callable[[], None]
    ) -> None:
        self._http = http
        self._passing = passing
        self._buffer = buffer
        self._halt = halt
        self._done = done

    def send(self, parts: Sequence[Outgoing]) -> None:
        """Send these parts. The first failure ends it: those before it are acknowledged first."""
        for here, group in groupby(parts, lambda part: isinstance(part.to, FileLocation)):
            some = list(group)
            if here:
                for at in range(0, len(some), AT_ONCE):
                    self._copy(some[at : at + AT_ONCE])
            else:
                for together in several(some, lambda part: (part.to, part.span.length)):
                    self._post_all(together)

    def send_pack(self, sources: Sequence[SourceFile], to: Location, data: bytes | bytearray) -> None:
        """Send whole files as one body."""
        if isinstance(to, FileLocation):
            with closing(gathered(sources, self._buffer, data)) as windows:
                self._write(windows, to)
            return
        length = sum(source.identity.size_bytes for source in sources)
        self._http.send_windows(length, lambda: gathered(sources, self._buffer, data), to, self._halt)

    def _post_all(self, parts: Sequence[Outgoing]) -> None:
        """Several at a time; when that does not get on, one alone."""
        while parts:
            arrived = self._post_together(parts) if len(parts) > 1 else 0
            if not arrived:
                self._post(parts[0])
                self._done()
            parts = parts[arrived or 1 :]

    def _post_together(self, parts: Sequence[Outgoing]) -> int:
        """Returns how many of the first the receiver has."""
        arrived = 0

        def done() -> None:
            nonlocal arrived
            arrived += 1
            self._done()

        def body(at: int) -> memoryview:
            with self._reading(parts[at]) as fd:
                return _read(fd, parts[at].span)

        wanted = [(part.to, part.span.length) for part in parts if isinstance(part.to, UrlLocation)]
        try:
            self._http.send_several(wanted, body, self._halt, done)
        except FerryError:
            with self._reading(parts[arrived]):
                raise
        return arrived

    def _post(self, part: Outgoing) -> None:
        assert isinstance(part.to, UrlLocation)
        with self._reading(part) as fd:
            self._http.send(fd, part.span, part.to, self._buffer, self._halt)

    def _write(self, windows: Iterable[memoryview], to: FileLocation) -> None:
        """Write a pack. Whether it is right the hub sees for itself."""
        offset = to.offset
        with opened_staging(to.path) as dest:
            for window in windows:
                with writing(to.path):
                    write_at(dest, window, offset)
                offset += len(window)
                self._halt.moved(len(window))
            with writing(to.path):
                sync_data(dest)

    def _copy(self, parts: Sequence[Outgoing]) -> None:
        copied: list[tuple[str | Path, int]] = []
        with ExitStack() as files:
            try:
                for part in parts:
                    assert isinstance(part.to, FileLocation)
                    with self._reading(part) as fd:
                        dest = files.enter_context(opened_staging(part.to.path))
                        copy_verified(fd, part.span, dest, part.to, part.block_digests, self._buffer, self._halt)
                    copied.append((part.to.path, dest))
            finally:
                for _ in synced_together(copied):
                    self._done()

    @contextmanager
    def _reading(self, part: Outgoing) -> Iterator[int]:
        """The open source, for as long as its part is sent."""
        with opened_whole(part.source) as fd:
            self._passing.sending(fd, part.source, part.span)
            try:
                yield fd
            except FerryError as error:
                # The receiver says the bytes are not those of the digest: did they change on the way, or before it?
                if error.reason == "CHUNK_CORRUPT":
                    found = hash_span(fd, part.span, self._buffer, self._halt)
                    if found != part.block_digests:
                        raise changed(part.source, "its bytes are not those that were hashed") from error
                raise
            self._passing.sent(fd, part.source, part.span)


def _read(fd: int, span: Span) -> memoryview:
    """A small span, in memory of its own: several wait for the same connection."""
    data = memoryview(bytearray(span.length))
    if read_at(fd, data, span.offset) < span.length:
        raise EndOfFile
    return data
