"""Several requests on one connection, all sent before the first is answered (ADR 0013). Upload step 8, download D8.

How much goes together follows from how long it took before. Whatever is not answered is left to be asked alone. What is
asked, and what a reply means, is `http.py`'s to say.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import accumulate, takewhile
from typing import Final, cast

from ferryd.lanes.halt import Halt
from ferryd.lanes.origin import Origin
from ferryd.lanes.response import Response
from ferryd.lanes.wire import Connections, Link
from ferrywire.reasons import FerryError

#: So many requests at most.
TOGETHER: Final = 32
#: What is moved together: at first, at least, at most.
_FIRST_BYTES: Final = 32 << 10
_LEAST_BYTES: Final = 8 << 10
_MOST_BYTES: Final = 512 << 10
#: What took less than this may be twice as much the next time, what took more than that half as much.
_QUICK_S: Final = 1.0
_SLOW_S: Final = 4.0
#: How long the other side may neither take a byte nor give one: a request may have been overlooked.
_PATIENCE_S: Final = 10.0
#: So many conversations in a row that did not come to their end are no chance.
_FAILURES: Final = 8
#: How long a server is then asked one thing at a time.
_ALONE_S: Final = 600.0
#: So much of the replies is read at once.
_BUFFER_BYTES: Final = 32 << 10


class Broken(Exception):
    """The connection failed before the reply began. Not `stale`: the server had its time and said nothing."""

    def __init__(self, error: Exception, *, stale: bool = True) -> None:
        super().__init__(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        self.stale = stale and not isinstance(error, TimeoutError)


@contextmanager
def replies(link: Link, buffer_bytes: int = -1) -> Iterator[BufferedReader]:
    """What comes on the connection, which stays open."""
    with cast("BufferedReader", link.sock.makefile("rb", buffer_bytes)) as file:
        yield file


def next_reply(file: BufferedReader) -> Response:
    """Error: `Broken`."""
    try:
        return Response(file)
    except (OSError, http.client.HTTPException) as error:
        raise Broken(error) from error


@dataclass(slots=True)
class _Manners:
    """What a server has taken so far. Changed by several threads: an update that is lost does no harm."""

    room_bytes: int = _FIRST_BYTES
    failures: int = 0
    alone_until: float = 0.0

    def fitting(self, sizes: Sequence[int]) -> int:
        """How many of these may go together now."""
        if self.alone_until > time.monotonic():
            return 0
        return sum(1 for _ in takewhile(lambda end: end <= self.room_bytes, accumulate(sizes[:TOGETHER])))

    def went_well(self, took_s: float) -> None:
        self.failures = 0
        if took_s < _QUICK_S:
            self.room_bytes = min(_MOST_BYTES, self.room_bytes * 2)
        elif took_s > _SLOW_S:
            self.room_bytes = max(_LEAST_BYTES, self.room_bytes // 2)

    def ended_early(self, heard: int, *, silent: bool) -> None:
        """A connection may end at any time, and many servers end each after so many requests. Silence, or that nothing
        but the first is answered each time, means that it cannot be."""
        if heard <= 1:
            self.failures += 1
            self.room_bytes = max(_LEAST_BYTES, self.room_bytes // 2)
        if silent or self.failures >= _FAILURES:
            self.alone_until = time.monotonic() + _ALONE_S
            self.failures = 0


class Conversations:
    """Held on connections that have answered before: who refuses everything is met by one request, not by 32."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._manners: dict[Origin, _Manners] = {}

    def hold(
        self,
        origin: Origin,
        sizes: Sequence[int],
        say: Callable[[Link, int], Sequence[bytes]],
        hear: Callable[[Response, int], bool],
        halt: Halt,
    ) -> None:
        """Ask for the first of these together, as many as may go. `sizes` are the bytes that each moves. `say` gives
        the requests of so many, or of fewer; `hear` takes the reply to each, in order, and tells whether another can
        come. What was not heard of may have been done all the same. Raises what `hear` raises, and `Interrupted`."""
        manners = self._manners.setdefault(origin, _Manners())
        halt.check()
        if (count := manners.fitting(sizes)) < 2:
            return
        with self._connections.kept(origin) as link:
            if link is None:
                return
            with halt.watching(link.sock):
                self._talk(link, lambda: say(link, count), hear, manners, halt)

    def _talk(
        self,
        link: Link,
        say: Callable[[], Sequence[bytes]],
        hear: Callable[[Response, int], bool],
        manners: _Manners,
        halt: Halt,
    ) -> None:
        began, stall_s, silent = time.monotonic(), link.sock.gettimeout(), False
        link.sock.settimeout(min(_PATIENCE_S, stall_s or _PATIENCE_S))
        heard, goes_on, requests = 0, True, [b""]
        try:
            requests = list(say())
            sent = _taken(link, requests)
            with replies(link, _BUFFER_BYTES) as file:
                while goes_on and heard < sent:
                    goes_on = hear(next_reply(file), heard)
                    heard += 1
        except Broken as error:
            silent = not error.stale
        except FerryError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            silent = True  # in the midst of a body: alone it has all the time there is
        halt.check()  # it may be us who cut it
        if heard < len(requests):
            manners.ended_early(heard, silent=silent)
            return
        if requests:
            manners.went_well(time.monotonic() - began)
        link.sock.settimeout(stall_s)
        link.reusable = goes_on


def _taken(link: Link, requests: Sequence[bytes]) -> int:
    """How many of the requests have been sent whole; not all when the other side hangs up, which may have said why."""
    data, done = memoryview(b"".join(requests)), 0
    try:
        while done < len(data):
            done += link.sock.send(data[done:])  # not sendall: its timeout is for everything, not for a stall
    except TimeoutError as error:
        raise Broken(error) from error
    except OSError:
        pass
    return sum(end <= done for end in accumulate(map(len, requests)))
