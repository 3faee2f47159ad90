"""A byte endpoint that does what a test tells it to, request by request: real sockets, real threads."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Request:
    """A request whose head was read. The body is read by the behaviour, or not."""

    server: ByteServer
    sock: socket.socket
    method: str
    target: str
    headers: dict[str, str]
    rest: bytes

    def read_body(self) -> bytes:
        body = bytearray(self.rest[: self.length])
        while len(body) < self.length:
            piece = self.sock.recv(self.length - len(body))
            if not piece:
                raise ConnectionResetError("it left before it had sent what it announced")
            body += piece
        return bytes(body)

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.server.overtaken += bool(select.select([self.sock], [], [], 0)[0])
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)


#: Returns whether the connection stays open.
Behaviour = Callable[[Request], bool]


@dataclass
class ByteServer:
    """Serves `blob` to ranged GETs and keeps what was PUT in `stored`; each of `script` replaces one such answer."""

    blob: bytes = b""
    script: list[Behaviour] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    unix: Path | None = None
    stored: dict[str, bytes] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    #: Whether it looks at a request that came before the last was answered; else it is forgotten.
    pipelines: bool = True
    connections: int = 0
    #: Replies that were given when more had been sent already, beyond what was read with their requests.
    overtaken: int = 0
    quitting: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ByteServer:
        if self.unix:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.unix))
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.quitting.set()
        accepting = self._threads[0]
        self._end([self._listener], [accepting])
        self._listener.close()
        self._end(self._open, self._threads[1:])  # all there are: nobody accepts any more

    def _end(self, sockets: list[socket.socket], threads: list[threading.Thread]) -> None:
        """End what waits for these sockets. Whoever uses one closes it: its number must not be another's meanwhile."""
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http{'s' if self.tls else ''}://{host if not self.tls else 'localhost'}:{port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                if self.quitting.is_set():
                    return
                continue
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            rest = b""
            while request := self._read_head(sock, rest):
                self.seen.append(request)
                rest = request.rest[request.length :] if self.pipelines else b""
                behaviour = self.script.pop(0) if self.script else ok
                if not behaviour(request):
                    return
        except OSError:
            pass  # the client went away
        finally:
            sock.close()

    def _read_head(self, sock: socket.socket, rest: bytes) -> Request | None:
        head = rest
        while b"\r\n\r\n" not in head:
            piece = sock.recv(4096)
            if not piece:
                return None
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if first.count(" ") != 2:  # the rest of what was overlooked
            sock.sendall(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
            return None
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Request(self, sock, method, target, headers, rest)


def ok(request: Request) -> bool:
    """What a hub does."""
    if request.method == "PUT":
        request.server.stored[request.target] = request.read_body()
        request.reply(200)
        return True
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    piece = request.server.blob[int(first) : int(last) + 1]
    request.reply(206, piece, Content_Range=f"bytes {first}-{last}/{len(request.server.blob)}")
    return True


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Read the body, answer this."""

    def behave(request: Request) -> bool:
        request.read_body()
        request.reply(status, body, **headers)
        return True

    return behave


def early(status: int, body: bytes = b"") -> Behaviour:
    """Answer without reading the body and say that nothing follows; no reset, so the answer is not lost.

    Nothing is read until the test is over: a server that drained could have the whole body before the client looked.
    """

    def behave(request: Request) -> bool:
        request.reply(status, body)
        request.sock.shutdown(socket.SHUT_WR)
        request.server.quitting.wait(60)
        return False

    return behave


def slam(status: int, body: bytes = b"") -> Behaviour:
    """Answer without reading the body and close at once: the kernel sends a reset behind the answer."""

    def behave(request: Request) -> bool:
        request.reply(status, body)
        return False

    return behave


def reset(request: Request) -> bool:
    """RST, at once."""
    request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.sock.close()
    return False


def stall(request: Request) -> bool:
    """Read nothing, say nothing, until the test is over."""
    request.server.quitting.wait(60)
    return False


def stall_in_reply(request: Request) -> bool:
    """Half of what was asked for, then silence."""
    _half(request)
    request.server.quitting.wait(60)
    return False


def short(request: Request) -> bool:
    """Half of what was promised, then the end."""
    _half(request)
    return False


def trickle(request: Request) -> bool:
    """What was asked for, in eight pieces that take their time."""
    _half(request, 0)
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    piece = request.server.blob[int(first) : int(last) + 1]
    for number in range(8):
        request.sock.sendall(piece[len(piece) * number // 8 : len(piece) * (number + 1) // 8])
        request.server.quitting.wait(0.1)
    return True


def close_after(request: Request) -> bool:
    """Answer well, then close without having said so: the kept connection is stale."""
    ok(request)
    return False


def _half(request: Request, per_cent: int = 50) -> None:
    """The head of a reply, and so much of its body."""
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    size = int(last) + 1 - int(first)
    head = f"HTTP/1.1 206 X\r\nContent-Length: {size}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n"
    request.sock.sendall(head.encode() + request.server.blob[int(first) : int(first) + size * per_cent // 100])
