"""The http lane: a part up by PUT, a part down by a ranged GET, to signed URLs. Upload step 8, download D8.

No Authorization header, ever: the URL is the permission. Redirects are refused, so nothing crosses an origin. A reply
that is not exactly what was asked for is an error, never data.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from ferryd.core.following import HEADER, current
from ferryd.core.model import Span
from ferryd.core.ports import UrlLocation
from ferryd.lanes.body import EarlyReply, send_body
from ferryd.lanes.halt import Halt
from ferryd.lanes.hashing import EndOfFile
from ferryd.lanes.landing import Landing
from ferryd.lanes.origin import Origin, split_url
from ferryd.lanes.replies import Method, Reply, error_of, require_range, require_stored, unreachable
from ferryd.lanes.response import Response
from ferryd.lanes.windows import read_at
from ferryd.lanes.wire import Connections, Link
from ferrywire import traceparent

T = TypeVar("T")

#: How much of an error's body is read; ours are far shorter.
_ERROR_BYTES: Final = 64 << 10
#: A body up to this size goes out together with its head.
_SMALL_BYTES: Final = 64 << 10
#: What would end a header's line, or its name.
_UNSENDABLE: Final = re.compile(r"[\r\n\0]|^[^:]*\s")
#: The meter hears of slow bytes at least this often.
_REPORT_S: Final = 0.2


class _Broken(Exception):
    """The connection failed before the reply began. Not `stale`: the server had its time and said nothing."""

    def __init__(self, error: Exception, *, stale: bool = True) -> None:
        super().__init__(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        self.stale = stale and not isinstance(error, TimeoutError)


class HttpLane:
    """Moves parts over kept-alive connections. Called from lane threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def send(self, fd: int, span: Span, to: UrlLocation, buffer: memoryview, halt: Halt) -> None:
        """PUT a span of the open file; returns when the receiver said it has the part. Raises `EndOfFile` too."""
        origin, target = split_url(to.url)

        def put(link: Link) -> None:
            head = _head_of(link, "PUT", target, {**to.headers, "Content-Length": str(span.length)})
            whole = _sent(link, head, fd, span, buffer, halt)
            with _reply(link) as response:
                reply = Reply("PUT", str(origin), response.status, response.headers, _said(response))
                link.reusable = whole and response.ended and not response.will_close
            if not whole and reply.status < 400:
                raise unreachable(str(origin), "it hung up in the middle of a part")
            require_stored(reply, to.headers)

        self._attempt(origin, put, halt)

    def receive(
        self, origin_location: UrlLocation, span: Span, dest: int, path: str, buffer: memoryview, halt: Halt
    ) -> bytes:
        """GET a span into the same span of the open file at `path`, not durable yet; returns the digests of its
        blocks."""
        origin, target = split_url(origin_location.url)
        last = span.offset + span.length - 1

        def get(link: Link) -> bytes:
            headers = {**origin_location.headers, "Range": f"bytes={span.offset}-{last}", "Accept-Encoding": "identity"}
            _say(link, _head_of(link, "GET", target, headers))
            with _reply(link) as response:
                reply = Reply("GET", str(origin), response.status, response.headers)
                if reply.status not in (200, 206):
                    raise error_of(replace(reply, body=_said(response)))
                require_range(reply, span)
                digests = _store(_Incoming(response, origin, halt), span, dest, path, buffer)
                link.reusable = not response.will_close
            return digests

        return self._attempt(origin, get, halt)

    def _attempt(self, origin: Origin, act: Callable[[Link], T], halt: Halt) -> T:
        """Do it on a kept connection, and once more on a fresh one when the server had closed that."""
        for fresh in (False, True):
            halt.check()
            with self._connections.link(origin, fresh=fresh) as link, halt.watching(link.sock):
                try:
                    return act(link)
                except _Broken as error:
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
        raise _Broken(ValueError("a header that cannot be sent"))
    try:
        text = "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise _Broken(error) from error
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b" % (method.encode(), target.encode(), link.host, text)


def _say(link: Link, data: bytes) -> None:
    try:
        link.sock.sendall(data)
    except OSError as error:
        raise _Broken(error) from error


def _sent(link: Link, head: bytes, fd: int, span: Span, buffer: memoryview, halt: Halt) -> bool:
    """Whether head and body went; False when the server spoke or hung up before it had the whole body."""
    if span.length > _SMALL_BYTES:
        _say(link, head)
        return _body_sent(link, fd, span, buffer, halt)
    body = buffer[: span.length]
    if read_at(fd, body, span.offset) < span.length:
        raise EndOfFile
    try:
        link.sock.sendall(head + body)  # together: one call, and one wake-up of the receiver
    except TimeoutError as error:
        raise _Broken(error) from error
    except OSError:
        return False
    halt.moved(span.length)
    return True


def _body_sent(link: Link, fd: int, span: Span, buffer: memoryview, halt: Halt) -> bool:
    try:
        send_body(link, fd, span, buffer, halt)
    except EarlyReply:
        return False
    except TimeoutError as error:
        raise _Broken(error) from error
    return True


@contextlib.contextmanager
def _reply(link: Link) -> Iterator[Response]:
    try:
        response = Response(link.sock)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(error) from error
    with contextlib.closing(response):
        yield response


def _said(response: Response) -> bytes:
    """The beginning of an error's body; what cannot be read is left out."""
    try:
        return response.read(_ERROR_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


class _Incoming:
    """The body of a ranged GET, as it comes."""

    def __init__(self, response: Response, origin: Origin, halt: Halt) -> None:
        self._file = response.file
        self._origin = origin
        self.halt = halt

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or it takes long, but a byte at least. HUB_UNREACHABLE when nothing comes."""
        until = time.monotonic() + _REPORT_S
        done = 0
        while done < len(view) and (done == 0 or time.monotonic() < until):
            try:
                count = self._file.readinto1(view[done:])
            except OSError as error:
                self.halt.check()  # it was us who cut it
                what = "no byte came for too long" if isinstance(error, TimeoutError) else str(error.strerror or error)
                raise unreachable(str(self._origin), f"a download broke off: {what}") from error
            if count == 0:
                self.halt.check()
                raise unreachable(str(self._origin), "a download ended before it was complete")
            done += count
        return done


def _store(incoming: _Incoming, span: Span, dest: int, path: str, buffer: memoryview) -> bytes:
    landing = Landing(dest, span, path, incoming.halt)
    while wanted := landing.wanted:
        landing.take(buffer[: incoming.fill(buffer[:wanted])])
    return landing.block_digests()
