"""A hub that is told to stop does not wait for connections on which nothing happens, with TLS or without."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.support.hubs import HubServer
from tests.support.tls import Certificate

pytestmark = pytest.mark.slow

GAVE_UP = "timeout graceful shutdown exceeded"


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_idle_connections_do_not_hold_it_up(tmp_path: Path, tls: bool) -> None:
    certificate = Certificate(tmp_path)
    server = HubServer(tmp_path / "hub", *(certificate.options if tls else ())).start()
    bare = socket.create_connection(("127.0.0.1", server.port))
    silent = socket.create_connection(("127.0.0.1", server.port))
    if tls:
        silent = certificate.trust.wrap_socket(silent, server_hostname="127.0.0.1")
    with bare, silent, httpx.Client(base_url=server.url, verify=certificate.trust) as client:
        # Its connection is kept, as a daemon keeps one between two calls.
        assert client.get("/healthz").text == "ok"
        server.stop()
    log = server.log.read_text()
    assert "Shutting down" in log
    assert GAVE_UP not in log
    assert "Traceback" not in log


def test_a_reply_that_is_under_way_still_arrives(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    server = HubServer(tmp_path / "hub", *certificate.options).start()
    body = b"client_id=ferryman"
    head = f"POST /oauth/device_authorization HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    plain = socket.create_connection(("127.0.0.1", server.port))
    with certificate.trust.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(head.encode() + body[:5])
        server.interrupt()
        client.sendall(body[5:])
        # Nobody says goodbye here either: the hub ends by itself.
        reply = client.recv(65536)
        server.stop()
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert GAVE_UP not in server.log.read_text()
