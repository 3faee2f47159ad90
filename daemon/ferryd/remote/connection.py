"""HTTP/1.1 connections to one server, kept open between requests: one request on each at a time, its reply whole.

Upload steps 7, 8 and 10; forwarded calls. On the event loop, parsed by httptools, at a fifth of what httpx costs a
call. Raises `OSError` for whatever becomes of a connection. What requests and replies mean is not known here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import staggered
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import httptools

from ferryd.core.sockets import has_input

_CONNECT_TIMEOUT_S: Final = 10.0
#: When to try the next address of a name beside the last one (RFC 8305), in seconds.
_STAGGER_S: Final = 0.25
#: The longest a connection may idle before it is used again, in seconds; servers close theirs after a minute or so.
_IDLE_S: Final = 30.0
_MAX_CONNECTIONS: Final = 32
_MAX_IDLE: Final = 16
_MAX_HEAD_BYTES: Final = 64 << 10
_CLOSED: Final = "it closed the connection without an answer"


class TooLargeError(Exception):
    """The reply has more bytes than wanted."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect to: a host and a port, or a Unix socket."""

    host: str
    port: int
    socket_path: str = ""
    tls: bool = False


@dataclass(slots=True)
class Answer:
    """A whole reply. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    """The connections to one server. Replies above `max_bytes` are refused."""

    def __init__(self, server: Server, max_bytes: int) -> None:
        self._server = server
        self._max_bytes = max_bytes
        self._tls: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []
        self._closed = False
        self._free = asyncio.Semaphore(_MAX_CONNECTIONS)

    async def exchange(self, request: bytes) -> Answer:
        """Send a request, and wait for its reply. Errors: `OSError`, `TooLargeError`."""
        async with self._free:
            connection = self._take() or await self._connect()
            try:
                answer = await connection.exchange(request)
            except BaseException:
                connection.abort()
                raise
            if connection.reusable and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.abort()
            return answer

    def close(self) -> None:
        """Close those that idle, and those in use when their replies have come."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop, server = asyncio.get_running_loop(), self._server
        make = partial(_Connection, loop, self._max_bytes)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                if server.socket_path:
                    return (await loop.create_unix_connection(make, server.socket_path))[1]
                if server.tls and self._tls is None:
                    self._tls = await asyncio.to_thread(_tls)  # reads all authorities
                connected, name = await _dial(server), server.host if server.tls else None
                return (await loop.create_connection(make, sock=connected, ssl=self._tls, server_hostname=name))[1]
        except TimeoutError:
            raise ConnectionError("it does not answer") from None
        except UnicodeError:
            raise ConnectionError("its name is none") from None


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _dial(server: Server) -> socket.socket:
    """A connected socket: to the first address that answers, where a name has several."""
    found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    if len(found) == 1:
        return await _reach(found[0])
    connected, _, errors = await staggered.staggered_race([partial(_reach, each) for each in found], _STAGGER_S)
    if connected is None:
        raise next(error for error in errors if error is not None)
    return cast("socket.socket", connected)


async def _reach(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    reaching = socket.socket(family, kind, protocol)
    try:
        reaching.setblocking(False)
        reaching.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(reaching, address)
    except BaseException:
        reaching.close()
        raise
    return reaching


class _Connection(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, max_bytes: int) -> None:
        self._loop = loop
        self._max_bytes = max_bytes
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._reusable = False
        self._idle_since = 0.0
        self._begin()

    async def exchange(self, request: bytes) -> Answer:
        if self._transport.is_closing():  # since it was made, a moment ago: nobody would tell of its end again
            raise ConnectionResetError(_CLOSED)
        self._answer = self._loop.create_future()
        self._reusable = False
        self._begin()
        self._transport.write(request)
        return await self._answer

    @property
    def reusable(self) -> bool:
        return self._reusable and not self._transport.is_closing()

    @property
    def fresh(self) -> bool:
        """Whether to use it again. What the server has sent or done meanwhile, the loop may not have seen yet."""
        recent = self.reusable and self._loop.time() - self._idle_since < _IDLE_S
        return recent and not has_input(self._transport.get_extra_info("socket").fileno())

    def abort(self) -> None:
        self._reusable = False
        self._transport.abort()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._bytes = 0
        self._in_body = False

    def _fail(self, error: Exception) -> None:
        self._reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._transport.abort()

    def _complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        # A server that answers before it has read all has no use for the rest, which would come before what is next.
        self._reusable = self._parser.should_keep_alive() and not self._transport.get_write_buffer_size()
        self._idle_since = self._loop.time()
        self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, bytes(self._body)))

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._fail(ConnectionError("it speaks unasked"))
            return
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"it does not speak HTTP as it should: {error}"))
            return
        if not self._in_body and self._bytes > _MAX_HEAD_BYTES:
            self._fail(ConnectionError("the head of its reply does not end"))
        elif len(self._body) > self._max_bytes:
            self._fail(TooLargeError())
        elif self._bytes > 2 * self._max_bytes + _MAX_HEAD_BYTES:
            self._fail(ConnectionError("its reply does not end"))  # chunks of nearly nothing, or trailers

    def eof_received(self) -> None:
        if self._in_body and not {"content-length", "transfer-encoding"} & self._headers.keys():
            self._complete()  # it ends where the connection does

    def connection_lost(self, error: Exception | None) -> None:
        # Never a TimeoutError of the network: those of asyncio are the caller's deadline.
        self._fail(ConnectionResetError(str(error) if error else _CLOSED))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():  # behind the reply, in the same piece
            raise ConnectionError("it speaks unasked")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer, of which nobody has asked for any
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._begin()
        else:
            self._complete()
