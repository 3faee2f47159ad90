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
#: What TLS sends as one.
_RECORD_BYTES: Final = 16 << 10
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
    failed_at: float = 0.0
    alone_until: float = 0.0

    def fitting(self, sizes: Sequence[int]) -> int:
        """How many of these may go together now."""
        if self.alone_until > time.monotonic():
            return 0
        return sum(1 for _ in takewhile(lambda end: end <= self.room_bytes, accumulate(sizes[:TOGETHER])))

    def moved(self, size_bytes: int, took_s: float) -> None:
        """So much went well, together or alone. What was little proves nothing of more."""
        if took_s < _QUICK_S and size_bytes * 2 >= self.room_bytes:
            self.room_bytes = min(_MOST_BYTES, self.room_bytes * 2)
        elif took_s > _SLOW_S:
            self.room_bytes = max(_LEAST_BYTES, self.room_bytes // 2)

    def ended_early(self, began: float, heard: int, *, silent: bool) -> None:
        """A connection may end at any time, and many servers end each after so many requests. Silence after an answer,
        or that nothing but the first is answered time after time, means that it cannot be. Those that were under way at
        once count once: it was one event."""
        now = time.monotonic()
        if heard > 1:
            self.failures = 0
        elif began >= self.failed_at:
            self.failures += 1
            self.failed_at = now
            self.room_bytes = max(_LEAST_BYTES, self.room_bytes // 2)
        if (silent and heard) or self.failures >= _FAILURES:
            self.alone_until = now + _ALONE_S
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
                self._talk(link, sizes, lambda: say(link, count), hear, manners, halt)

    def learn(self, origin: Origin, size_bytes: int, took_s: float) -> None:
        """A part that went alone tells, too, how much may go together."""
        self._manners.setdefault(origin, _Manners()).moved(size_bytes, took_s)

    def _talk(
        self,
        link: Link,
        sizes: Sequence[int],
        say: Callable[[], Sequence[bytes]],
        hear: Callable[[Response, int], bool],
        manners: _Manners,
        halt: Halt,
    ) -> None:
        stall_s, silent = link.sock.gettimeout(), False
        link.sock.settimeout(min(_PATIENCE_S, stall_s or _PATIENCE_S))
        heard, goes_on, requests = 0, True, [b""]
        began = time.monotonic()
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
            if error.reason != "HUB_UNREACHABLE":
                raise
            # In the midst of a body: alone it has all the time there is, and nothing unread behind it.
            silent = isinstance(error.__cause__, TimeoutError)
        halt.check()  # it may be us who cut it
        if heard < len(requests):
            manners.ended_early(began, heard, silent=silent)
            return
        manners.failures = 0
        manners.moved(sum(sizes[:heard]), time.monotonic() - began)
        link.sock.settimeout(stall_s)
        link.reusable = goes_on


def _taken(link: Link, requests: Sequence[bytes]) -> int:
    """How many of the requests have been sent whole; not all when the other side hangs up, which may have said why."""
    data, done = memoryview(b"".join(requests)), 0
    most = len(data) if link.plain else _RECORD_BYTES
    try:
        while done < len(data):
            # Not sendall, and over TLS no more than a record: the timeout is for the whole call, not for a stall.
            done += link.sock.send(data[done : done + most])
    except TimeoutError as error:
        raise Broken(error) from error
    except OSError:
        pass
    return sum(end <= done for end in accumulate(map(len, requests)))
