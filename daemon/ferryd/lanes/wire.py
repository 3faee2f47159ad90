"""Connections of the http lane: made, tuned, kept alive and reused, per origin. Upload step 8, download D8.

TCP, TLS and Unix sockets, all through `http.client`. Proxies from the environment (HTTPS_PROXY) are not used. No
request is made here.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Final

from ferryd.core.sockets import has_input
from ferryd.lanes.origin import Origin
from ferryd.lanes.replies import unreachable

#: Sent but unacknowledged bytes give the connection up after this long (TCP_USER_TIMEOUT).
_UNACKNOWLEDGED_MS: Final = 30_000
_IDLE_PER_ORIGIN: Final = 8


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class Link:
    """A connection and whether it has carried a request before (then the server may have closed it meanwhile)."""

    def __init__(self, connection: http.client.HTTPConnection, *, reused: bool) -> None:
        self.connection = connection
        self.reused = reused
        self.reusable = False  #: set once a reply was read to its end
        self.host = _host_of(connection)  #: as a request names it

    @property
    def sock(self) -> socket.socket:
        return self.connection.sock

    @property
    def plain(self) -> bool:
        """Whether the kernel may write to the socket directly."""
        return not isinstance(self.sock, ssl.SSLSocket)


class Connections:
    """Idle connections by origin. `connect_timeout_s` bounds connecting; `stall_timeout_s` any wait without a byte."""

    def __init__(self, *, connect_timeout_s: float, stall_timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._closed = False

    @contextlib.contextmanager
    def link(self, origin: Origin, *, fresh: bool) -> Iterator[Link]:
        """A connected link; kept afterwards when it is `reusable`, else closed. HUB_UNREACHABLE when there is none."""
        kept = None if fresh else self._take(origin)
        with self._lent(origin, Link(kept or self._connect(origin), reused=kept is not None)) as link:
            yield link

    @contextlib.contextmanager
    def kept(self, origin: Origin) -> Iterator[Link | None]:
        """A link that has carried a request before, if there is one; kept or closed as by `link`."""
        found = self._take(origin)
        if found is None:
            yield None
            return
        with self._lent(origin, Link(found, reused=True)) as link:
            yield link

    @contextlib.contextmanager
    def _lent(self, origin: Origin, link: Link) -> Iterator[Link]:
        try:
            yield link
        finally:
            if not (link.reusable and self._keep(origin, link.connection)):
                link.connection.close()

    def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connection in (one for many in idle.values() for one in many):
            connection.close()

    def _take(self, origin: Origin) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                kept = self._idle.get(origin)
                if not kept:
                    return None
                connection = kept.pop()
            if not has_input(connection.sock.fileno()):
                return connection
            connection.close()  # the server closed it, or said something unasked

    def _keep(self, origin: Origin, connection: http.client.HTTPConnection) -> bool:
        with self._lock:
            kept = self._idle.setdefault(origin, [])
            room = not self._closed and len(kept) < _IDLE_PER_ORIGIN and connection.sock is not None
            if room:
                kept.append(connection)
            return room

    def _connect(self, origin: Origin) -> http.client.HTTPConnection:
        connection = self._new(origin)
        try:
            connection.connect()
            _tune(connection.sock, self._stall_timeout_s)
        except TimeoutError:
            connection.close()
            raise unreachable(str(origin), f"no connection within {self._connect_timeout_s:g} s") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that IDNA refuses
            connection.close()
            raise unreachable(str(origin), getattr(error, "strerror", None) or str(error)) from error
        return connection

    def _new(self, origin: Origin) -> http.client.HTTPConnection:
        timeout_s = self._connect_timeout_s
        if origin.scheme == "http+unix":
            return _UnixConnection(origin.host, timeout_s)
        if origin.scheme == "http":
            return http.client.HTTPConnection(origin.host, origin.port, timeout=timeout_s)
        self._tls = self._tls or ssl.create_default_context()
        return http.client.HTTPSConnection(origin.host, origin.port, timeout=timeout_s, context=self._tls)


def _host_of(connection: http.client.HTTPConnection) -> bytes:
    try:
        host = connection.host.encode("ascii")
    except UnicodeEncodeError:
        host = connection.host.encode("idna")
    host = b"[%b]" % host if b":" in host else host
    return host if connection.port == connection.default_port else b"%b:%d" % (host, connection.port)


def _tune(sock: socket.socket, stall_timeout_s: float) -> None:
    sock.settimeout(stall_timeout_s)
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
