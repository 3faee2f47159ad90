"""Fetches whole files of up to a window, many together, into the lane's memory. Download step D8.

Those that follow each other in one pack are one GET, small ones of one origin are asked for together, and each is
compared with its digest before it is handed on: when the window is full, and on a slow line before that, so that an
interruption costs little. Where they are kept is `whole_files.py`'s.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, groupby
from typing import Final, Protocol

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Interrupted, Keep, ShortFile, UrlLocation
from ferryd.lanes.arrivals import damaged
from ferryd.lanes.file import reading_blob
from ferryd.lanes.halt import Halt
from ferryd.lanes.http import HttpLane, several
from ferryd.lanes.windows import Window
from ferrywire import digest
from ferrywire.reasons import FerryError

#: What has come waits for the rest of a window no longer than this.
_KEEP_S: Final = 1.0


class _Source(Protocol):
    def fill(self, view: memoryview) -> int:
        """Read the next bytes, one at least; returns how many."""


class ShortFiles:
    """What one thread fetches in one visit. `keep` gets the bytes of the next files, each right; they are gone when it
    returns."""

    def __init__(self, http: HttpLane, buffer: memoryview, halt: Halt, keep: Keep) -> None:
        self._http = http
        self._buffer = buffer
        self._halt = halt
        self._keep = keep

    def receive(self, files: Sequence[ShortFile]) -> None:
        """Fetch these. The first failure ends it: those before it are kept first."""
        for some in _windows(files, len(self._buffer)):
            window = _Window(some, self._buffer, self._halt, self._keep)
            try:
                self._fill(window, some)
            except Interrupted:
                with suppress(FerryError):  # met again by whoever goes on
                    window.keep()
                raise
            except FerryError:
                window.keep()
                raise
            window.keep()

    def _fill(self, window: _Window, files: Sequence[ShortFile]) -> None:
        for alone, runs in groupby(_runs(files), lambda run: len(run) == 1):
            if alone:
                self._fetch_apart([file for (file,) in runs], window)
                continue
            for run in runs:
                self._fetch(run, window)

    def _fetch_apart(self, files: Sequence[ShortFile], window: _Window) -> None:
        """Several at a time; when that does not get on, one alone."""
        for together in several(files, lambda file: (file.origin, file.size_bytes)):
            while together:
                before = window.count
                if len(together) > 1:
                    asked = [(file.origin, _span(file)) for file in together if isinstance(file.origin, UrlLocation)]
                    self._http.receive_several(asked, self._halt, window.take)
                if window.count == before:
                    self._fetch(together[:1], window)
                together = together[window.count - before :]

    def _fetch(self, run: Sequence[ShortFile], window: _Window) -> None:
        """Files that follow each other, as one."""
        origin = run[0].origin
        if isinstance(origin, FileLocation):
            with reading_blob(origin) as blob:
                window.take(blob, len(run))
            return
        length = sum(file.size_bytes for file in run)
        self._http.receive(origin, Span(0, length), self._halt, lambda inflow: window.take(inflow, len(run)))


class _Window:
    """The files that have room in the buffer together, as they come into it."""

    def __init__(self, files: Sequence[ShortFile], buffer: memoryview, halt: Halt, keep: Keep) -> None:
        self._files = files
        self._ends = list(accumulate(file.size_bytes for file in files))
        self._buffer = buffer
        self._halt = halt
        self._keep = keep
        self._filled = self._kept = 0
        self._kept_at = time.monotonic()

    @property
    def count(self) -> int:
        """How many have come."""
        return bisect_right(self._ends, self._filled)

    def take(self, source: _Source, count: int = 1) -> None:
        """Read the next files. Those that came before a failure have come."""
        end = self._ends[self.count + count - 1]
        pace = Window(self._halt)
        try:
            while self._filled < end:
                moved = source.fill(self._buffer[self._filled : min(end, self._filled + pace.size)])
                self._filled += moved
                pace.moved(moved)
                if time.monotonic() - self._kept_at > _KEEP_S:
                    self.keep()
        finally:
            self._filled = self._begin(self.count)

    def keep(self) -> None:
        """Hand on what has come since. CHUNK_CORRUPT when it is wrong, and what `keep` raises."""
        first, self._kept = self._kept, self.count  # also when that fails: nothing may follow then
        right: list[memoryview] = []
        wrong: FerryError | None = None
        for index in range(first, self._kept):
            view = self._buffer[self._begin(index) : self._ends[index]]
            if digest.of_bytes(view) != self._files[index].digest:
                wrong = damaged(0, len(view))
                break
            right.append(view)
        if right:
            with self._halt.keeping():
                self._keep(right)
        self._kept_at = time.monotonic()
        if wrong is not None:
            raise wrong

    def _begin(self, index: int) -> int:
        return self._ends[index - 1] if index else 0


def _span(file: ShortFile) -> Span:
    return Span(0, file.size_bytes)


def _windows(files: Sequence[ShortFile], room_bytes: int) -> Iterator[list[ShortFile]]:
    """Cut files, in order, into those that have so much room together."""
    window: list[ShortFile] = []
    size_bytes = 0
    for file in files:
        if window and size_bytes + file.size_bytes > room_bytes:
            yield window
            window, size_bytes = [], 0
        window.append(file)
        size_bytes += file.size_bytes
    if window:
        yield window


def _runs(files: Sequence[ShortFile]) -> Iterator[list[ShortFile]]:
    """Cut files, in order, into those that follow each other in one place."""
    run: list[ShortFile] = []
    for file in files:
        if run and not _follows(run[-1], file):
            yield run
            run = []
        run.append(file)
    if run:
        yield run


def _follows(before: ShortFile, after: ShortFile) -> bool:
    """Whether a file begins where another ends, at one URL or in one blob."""
    a, b = before.origin, after.origin
    if isinstance(a, UrlLocation) and isinstance(b, UrlLocation):
        same = a.url == b.url and a.headers == b.headers
    else:
        same = isinstance(a, FileLocation) and isinstance(b, FileLocation) and a.path == b.path
    return same and a.offset + before.size_bytes == b.offset
