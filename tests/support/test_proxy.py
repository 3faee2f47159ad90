"""The proxy does what fault tests rely on: counts, cuts, stalls, refuses and damages exactly."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy
from tests.support.waiting import wait_for


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while piece := self.request.recv(65536):
                self.request.sendall(piece)
        except OSError:
            pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def echo_port() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo_port: int) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo_port) as running:
        yield running


def _connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def _exchange(near: socket.socket, data: bytes) -> bytes:
    near.sendall(data)
    got = b""
    while len(got) < len(data) and (piece := near.recv(65536)):
        got += piece
    return got


def test_passes_and_counts_both_ways(proxy: Proxy) -> None:
    data = bytes(range(256)) * 1000
    with _connect(proxy) as near:
        assert _exchange(near, data) == data
        near.shutdown(socket.SHUT_WR)
        assert near.recv(1) == b""
    wait_for(lambda: proxy.moved == {"up": len(data), "down": len(data)}, what="both ways to be counted")
    assert proxy.connections == 1


def test_flips_one_byte_of_a_body_and_none_of_a_head(proxy: Proxy) -> None:
    proxy.flip_after("up", 1000)
    with _connect(proxy) as near:
        for small in (b"\0" * 900, b"\0" * 900):
            assert _exchange(near, small) == small
        assert sum(map(bool, _exchange(near, bytes(1 << 18)))) == 1
        assert _exchange(near, bytes(1 << 18)) == bytes(1 << 18)


def test_cuts_after_a_number_of_bytes(proxy: Proxy) -> None:
    proxy.cut_after("up", 3)
    with _connect(proxy) as near:
        near.sendall(b"abcdef")
        with pytest.raises(ConnectionResetError):
            while near.recv(10):
                pass


def test_cuts_now(proxy: Proxy) -> None:
    with _connect(proxy) as near:
        assert _exchange(near, b"a") == b"a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            near.recv(10)


def test_a_stall_holds_bytes_until_it_ends(proxy: Proxy) -> None:
    with _connect(proxy) as near:
        assert _exchange(near, b"a") == b"a"
        wait_for(lambda: proxy.moved["down"] == 1)
        proxy.stalled = True
        near.sendall(b"b")
        near.settimeout(0.1)
        with pytest.raises(TimeoutError):
            near.recv(1)
        proxy.stalled = False
        near.settimeout(60)
        assert near.recv(1) == b"b"


def test_refuses_new_connections(proxy: Proxy) -> None:
    proxy.refusing = True
    with _connect(proxy) as near, pytest.raises(ConnectionResetError):
        near.sendall(b"x")
        if near.recv(1) == b"":
            raise ConnectionResetError
