"""The http lane: a part up by PUT, a part down by a ranged GET, to signed URLs. Upload step 8, download D8.

Small parts go several at a time over one connection (ADR 0013): the next are asked for before the first is answered, so
that not each of them waits for a store that is far away.

No Authorization header, ever: the URL is the permission. Redirects are refused, so nothing crosses an origin. A reply
that is not exactly what was asked for is an error, never data.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeVar

from ferryd.core.following import HEADER, current
from ferryd.core.model import Span
from ferryd.core.ports import Location, UrlLocation
from ferryd.lanes.body import EarlyReply, send_body, send_windows
from ferryd.lanes.conversation import Broken, Conversations, next_reply, replies
from ferryd.lanes.halt import Halt
from ferryd.lanes.hashing import EndOfFile
from ferryd.lanes.origin import Origin, split_url
from ferryd.lanes.replies import Method, Reply, error_of, is_explained, require_range, require_stored, unreachable
from ferryd.lanes.response import Response
from ferryd.lanes.windows import read_at
from ferryd.lanes.wire import Connections, Link
from ferrywire import traceparent
from ferrywire.reasons import FerryError

T = TypeVar("T")


P = TypeVar("P")

#: How much of an error's body is read; ours are far shorter.
_ERROR_BYTES: Final = 64 << 10
#: A body up to this size goes out together with its head.
_SHORT_BYTES: Final = 64 << 10
#: A part up to this size goes together with others.
SMALL_BYTES: Final = 256 << 10
#: What would end a header's line, or its name.
_UNSENDABLE: Final = re.compile(r"[\r\n\0]|^[^:]*\s")
#: The meter hears of slow bytes at least this often.
_REPORT_S: Final = 0.2


def several(parts: Sequence[P], where: Callable[[P], tuple[Location, int]]) -> Iterator[Sequence[P]]:
    """Cut parts, in order, into those that can be asked for together: small ones of one origin. Others are alone.
    `where` tells of a part where it goes or comes from, and its length."""
    for of, group in groupby(parts, lambda part: _origin_of_small(*where(part))):
        some = list(group)
        yield from ([part] for part in some) if of is None else (some,)


def _origin_of_small(to: Location, length: int) -> Origin | None:
    if not isinstance(to, UrlLocation) or length > SMALL_BYTES:
        return None
    with contextlib.suppress(FerryError):  # that it is no URL is said when it is that part's turn
        return split_url(to.url)[0]
    return None


class HttpLane:
    """Moves parts over kept-alive connections. Called from lane threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._conversations = Conversations(connections)

    def send(self, fd: int, span: Span, to: UrlLocation, buffer: memoryview, halt: Halt) -> None:
        """PUT a span of the open file; returns when the receiver said it has the part. Raises `EndOfFile` too."""
        origin, target = split_url(to.url)

        def put(link: Link) -> None:
            whole = _sent(link, _head_of_put(link, target, to, span.length), fd, span, buffer, halt)
            _require_stored(link, origin, to, whole=whole)

        began = time.monotonic()
        self._attempt(origin, put, halt)
        self._learn(origin, span, began)

    def send_windows(
        self, length: int, windows: Callable[[], Generator[memoryview]], to: UrlLocation, halt: Halt
    ) -> None:
        """PUT what comes in pieces of memory, from the beginning each time it is asked for; returns when the receiver
        said it has it all."""
        origin, target = split_url(to.url)

        def put(link: Link) -> None:
            _say(link, _head_of_put(link, target, to, length))
            with contextlib.closing(windows()) as some:  # it has a file open
                whole = _whole(lambda: send_windows(link, some, halt))
            _require_stored(link, origin, to, whole=whole)

        self._attempt(origin, put, halt)

    def receive(self, location: UrlLocation, span: Span, halt: Halt, take: Callable[[Inflow], None]) -> None:
        """GET a span; `take` has to read all of it."""
        origin, target = split_url(location.url)

        def get(link: Link) -> None:
            _say(link, _head_of_get(link, target, location, span))
            with replies(link) as file:
                response = next_reply(file)
                _require_range(response, origin, _asked(location, span))
                take(Inflow(response, origin, halt))
                link.reusable = not response.will_close

        began = time.monotonic()
        self._attempt(origin, get, halt)
        self._learn(origin, span, began)

    def send_several(
        self,
        parts: Sequence[tuple[UrlLocation, int]],
        body: Callable[[int], bytes | memoryview],
        halt: Halt,
        done: Callable[[], None],
    ) -> None:
        """PUT the first of some small bodies together to one origin; each comes with its length, and `body` gives it
        when it is about to go. `done` is told of each that the receiver has, in order. The others are still to be
        sent, though some may have arrived; what `body` raises ends it there. Raises for the first that is refused."""
        origin = split_url(parts[0][0].url)[0]

        def say(link: Link, count: int) -> list[bytes]:
            said: list[bytes] = []
            with contextlib.suppress(FerryError):  # what cannot be read is told of when that part goes alone
                for at, (to, length) in enumerate(parts[:count]):
                    said.append(_head_of_put(link, split_url(to.url)[1], to, length) + body(at))
            return said

        def hear(response: Response, at: int) -> bool:
            reply = Reply("PUT", str(origin), response.status, response.headers, _said(response))
            to, length = parts[at]
            _doubt(reply, at)
            require_stored(reply, to.headers)
            done()
            halt.moved(length)
            return _goes_on(response)

        self._conversations.hold(origin, [length for _, length in parts], say, hear, halt)

    def receive_several(
        self,
        parts: Sequence[tuple[UrlLocation, Span]],
        halt: Halt,
        take: Callable[[Inflow], None],
    ) -> None:
        """GET the first of some small spans together from one origin; `take` has to read all of each, in order. The
        others are still to be fetched, and the one in the midst of which the connection ended. Raises for the first
        that is refused."""
        origin = split_url(parts[0][0].url)[0]

        def say(link: Link, count: int) -> list[bytes]:
            return [_head_of_get(link, split_url(at.url)[1], at, span) for at, span in parts[:count]]

        def hear(response: Response, at: int) -> bool:
            if response.status >= 400:
                reply = Reply("GET", str(origin), response.status, response.headers, _said(response))
                _doubt(reply, at)
                raise error_of(reply)
            location, span = parts[at]
            _require_range(response, origin, _asked(location, span))
            take(Inflow(response, origin, halt))
            return not response.will_close

        self._conversations.hold(origin, [span.length for _, span in parts], say, hear, halt)

    def _learn(self, origin: Origin, span: Span, began: float) -> None:
        if span.length <= SMALL_BYTES:
            self._conversations.learn(origin, span.length, time.monotonic() - began)

    def _attempt(self, origin: Origin, act: Callable[[Link], T], halt: Halt) -> T:
        """Do it on a kept connection, and once more on a fresh one when the server had closed that."""
        for fresh in (False, True):
            halt.check()
            with self._connections.link(origin, fresh=fresh) as link, halt.watching(link.sock):
                try:
                    return act(link)
                except Broken as error:
                    halt.check()  # it was us who cut it
                    if fresh or not (link.reused and error.stale):
                        raise unreachable(str(origin), f"the connection broke ({error})") from error
        raise AssertionError("the second attempt returns or raises")


def _head_of(link: Link, method: Method, target: str, headers: Mapping[str, str]) -> bytes:
    fields = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    if request_id := current():
        fields[HEADER] = request_id
        # What object stores write into their logs.
        fields["User-Agent"] = f"ferryd request-id/{request_id}"
    if parent := traceparent.traceparent():
        fields[traceparent.HEADER] = parent
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if any(_UNSENDABLE.search(line) for line in lines):
        raise Broken(ValueError("a header that cannot be sent"))
    try:
        text = "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise Broken(error) from error
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b" % (method.encode(), target.encode(), link.host, text)


def _head_of_put(link: Link, target: str, to: UrlLocation, length: int) -> bytes:
    return _head_of(link, "PUT", target, {**to.headers, "Content-Length": str(length)})


def _head_of_get(link: Link, target: str, origin: UrlLocation, span: Span) -> bytes:
    asked = _asked(origin, span)
    wanted = f"bytes={asked.offset}-{asked.offset + asked.length - 1}"
    return _head_of(link, "GET", target, {**origin.headers, "Range": wanted, "Accept-Encoding": "identity"})


def _asked(origin: UrlLocation, span: Span) -> Span:
    """Where a span of a file is in what the URL names."""
    return Span(origin.offset + span.offset, span.length)


def _say(link: Link, data: bytes) -> None:
    try:
        link.sock.sendall(data)
    except OSError as error:
        raise Broken(error) from error


def _sent(link: Link, head: bytes, fd: int, span: Span, buffer: memoryview, halt: Halt) -> bool:
    """Whether head and body went; False when the server spoke or hung up before it had the whole body."""
    if span.length > _SHORT_BYTES:
        _say(link, head)
        return _whole(lambda: send_body(link, fd, span, buffer, halt))
    body = buffer[: span.length]
    if read_at(fd, body, span.offset) < span.length:
        raise EndOfFile
    try:
        link.sock.sendall(head + body)  # together: one call, and one wake-up of the receiver
    except TimeoutError as error:
        raise Broken(error) from error
    except OSError:
        return False
    halt.moved(span.length)
    return True


def _whole(send: Callable[[], None]) -> bool:
    """Send a body; False when the server spoke or hung up before it had all of it."""
    try:
        send()
    except EarlyReply:
        return False
    except TimeoutError as error:
        raise Broken(error) from error
    return True


def _require_stored(link: Link, origin: Origin, to: UrlLocation, *, whole: bool) -> None:
    """Read the reply to a PUT, of which the `whole` body was sent or not."""
    with replies(link) as file:
        response = next_reply(file)
        reply = Reply("PUT", str(origin), response.status, response.headers, _said(response))
        link.reusable = whole and _goes_on(response)
    if not whole and reply.status < 400:
        raise unreachable(str(origin), "it hung up in the middle of a part")
    require_stored(reply, to.headers)


def _doubt(reply: Reply, at: int) -> None:
    """Raise `Broken` for a refusal in the midst of others that nobody explains: it may answer a piece of one."""
    if at and reply.status >= 400 and reply.status != 412 and not is_explained(reply):
        raise Broken(ValueError("it may be no answer to this part"))


def _goes_on(response: Response) -> bool:
    """Whether more can be asked on its connection."""
    return response.ended and not response.will_close


def _said(response: Response) -> bytes:
    """The beginning of an error's body; what cannot be read is left out."""
    try:
        return response.read(_ERROR_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


class Inflow:
    """The body of a ranged GET, as it comes."""

    def __init__(self, response: Response, origin: Origin, halt: Halt) -> None:
        self._file = response.file
        self._origin = origin
        self._halt = halt
        self._error: OSError | None = None

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full, it takes long or no more comes, but a byte at least. HUB_UNREACHABLE when there is
        none."""
        until = time.monotonic() + _REPORT_S
        done, count = 0, -1
        while done < len(view) and count and (done == 0 or time.monotonic() < until):
            count = self._read(view[done:])
            done += count
        if not done:
            raise self._ended()
        return done

    def _read(self, view: memoryview) -> int:
        """0 when no more comes."""
        try:
            return 0 if self._error else self._file.readinto1(view)
        except OSError as error:
            self._error = error  # what is read after it may say something else
            return 0

    def _ended(self) -> FerryError:
        self._halt.check()  # it was us who cut it
        if self._error is None:
            return unreachable(str(self._origin), "a download ended before it was complete")
        silent = isinstance(self._error, TimeoutError)
        what = "no byte came for too long" if silent else str(self._error.strerror or self._error)
        found = unreachable(str(self._origin), f"a download broke off: {what}")
        found.__cause__ = self._error
        return found


def _require_range(response: Response, origin: Origin, asked: Span) -> None:
    """Raise unless the body of the reply is this span."""
    reply = Reply("GET", str(origin), response.status, response.headers)
    if reply.status not in (200, 206):
        raise error_of(replace(reply, body=_said(response)))
    require_range(reply, asked)
