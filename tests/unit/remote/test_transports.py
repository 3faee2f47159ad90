"""Both transports: a real HTTP server on TCP and on a Unix socket, and an ASGI app in process."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from ferryd.remote import inprocess
from ferryd.remote.connection import Connections
from ferryd.remote.http import HttpTransport
from ferryd.remote.inprocess import Answer, DirectTransport
from ferryd.remote.transport import MAX_REPLY_BYTES
from ferrywire.reasons import FerryError
from tests.support.byte_server import Behaviour, ByteServer, Request, answer, reset, stall
from tests.support.ports import dead_port
from tests.unit.remote.replies import connect_error, foreign_info

METHOD = "/ferryapi.hub.v1.AssetService/GetAsset"
TOKEN = "fat_" + "s" * 43


def good(body: bytes) -> Behaviour:
    return answer(200, body, Content_Type="application/proto")


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], HttpTransport]]:
    made: list[HttpTransport] = []

    def open_one(address: str) -> HttpTransport:
        made.append(HttpTransport(address, TOKEN))
        return made[-1]

    yield open_one
    for transport in made:
        await transport.close()


Connect = Callable[[str], HttpTransport]


async def fails(transport: HttpTransport, timeout_s: float = 20) -> FerryError:
    with pytest.raises(FerryError) as caught:
        await transport.call(METHOD, b"", timeout_s)
    assert TOKEN not in str(caught.value) + str(caught.value.metadata)
    assert set(caught.value.row.metadata) <= set(caught.value.metadata)
    return caught.value


async def test_bytes_go_and_come(connect: Connect) -> None:
    bodies: list[bytes] = []

    def echo(request: Request) -> bool:
        bodies.append(request.read_body())
        request.reply(200, b"reply", Content_Type="application/proto")
        return True

    with ByteServer(script=[echo, echo]) as server:
        transport = connect(server.url)
        assert await transport.call(METHOD, b"\x00request", 20) == b"reply"
        assert await transport.call(METHOD, b"", 20) == b"reply"
        assert server.connections == 1
        request = server.seen[0]
    assert bodies == [b"\x00request", b""]
    assert (request.method, request.target) == ("POST", METHOD)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/proto"


def test_on_the_loop_that_the_daemon_has() -> None:
    async def calls(url: str) -> list[bytes]:
        transport = HttpTransport(url, TOKEN)
        replies = [await transport.call(METHOD, b"x", 20) for _ in range(2)]
        await transport.close()
        return replies

    with ByteServer(script=[good(b"1"), good(b"2")]) as server:
        assert uvloop.run(calls(server.url)) == [b"1", b"2"]
        assert server.connections == 1


def raw(reply: bytes, *, goes_on: bool) -> Behaviour:
    def behave(request: Request) -> bool:
        request.read_body()
        request.sock.sendall(reply)
        return goes_on

    return behave


_KIND = b"Content-Type: application/proto\r\n"
WAYS: dict[str, tuple[bytes, bool]] = {
    "in chunks": (b"HTTP/1.1 200 OK\r\n" + _KIND + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
    "after a hint": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n" + _KIND + b"Content-Length: 3\r\n\r\nabc",
        True,
    ),
    "until the end": (b"HTTP/1.1 200 OK\r\n" + _KIND + b"\r\nabc", False),
    "and no more": (b"HTTP/1.1 200 OK\r\n" + _KIND + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", False),
}


@pytest.mark.parametrize("way", WAYS)
async def test_ways_to_send_a_body(connect: Connect, way: str) -> None:
    reply, goes_on = WAYS[way]
    with ByteServer(script=[raw(reply, goes_on=goes_on), good(b"next")]) as server:
        transport = connect(server.url)
        assert await transport.call(METHOD, b"", 20) == b"abc"
        assert await transport.call(METHOD, b"", 20) == b"next"
        assert server.connections == (1 if goes_on else 2)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_half_a_reply_and_none_at_all(connect: Connect, reply: bytes) -> None:
    with ByteServer(script=[raw(reply, goes_on=False)]) as server:
        assert (await fails(connect(server.url))).reason == "HUB_UNREACHABLE"


async def test_a_head_without_end(connect: Connect) -> None:
    with ByteServer(script=[raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20), goes_on=True)]) as server:
        assert (await fails(connect(server.url))).reason == "HUB_UNREACHABLE"


_MINE = b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 4\r\n\r\nmine"


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nX: evil\r\nContent-Length: 4\r\n\r\nev", _MINE])
async def test_what_comes_behind_a_reply_is_nobodys_answer(connect: Connect, more: bytes) -> None:
    used: list[object] = []

    def both(request: Request) -> bool:
        used.append(request.sock)
        request.read_body()
        request.sock.sendall(_MINE + more)
        return True

    def next_one(request: Request) -> bool:
        request.read_body()
        request.sock.sendall(b"il" if request.sock in used else _MINE.replace(b"mine", b"next"))
        return True

    with ByteServer(script=[both, next_one, next_one]) as server:
        transport = connect(server.url)
        assert await transport.call(METHOD, b"", 20) == b"mine"
        assert await transport.call(METHOD, b"", 20) == b"next"


async def test_trailers_change_nothing_and_end(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferryd.remote.http.MAX_REPLY_BYTES", 1 << 20)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    few, many = head + b"Content-Type: text/html\r\n\r\n", head + b"X: " + b"x" * (3 << 20)
    with ByteServer(script=[raw(few, goes_on=True), raw(many, goes_on=False)]) as server:
        transport = connect(server.url)
        assert await transport.call(METHOD, b"", 20) == b"ab"
        assert (await fails(transport)).reason == "HUB_UNREACHABLE"


async def test_a_reply_after_the_end_leaves_no_connection_open(connect: Connect) -> None:
    closing, gone = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def late(request: Request) -> bool:
        request.read_body()
        loop.call_soon_threadsafe(closing.set)
        assert closed.wait(60)
        request.sock.sendall(_MINE)
        assert request.sock.recv(1) == b""  # our end is closed
        gone.set()
        return False

    closed = threading.Event()
    with ByteServer(script=[late]) as server:
        transport = connect(server.url)
        call = asyncio.create_task(transport.call(METHOD, b"", 60))
        await closing.wait()
        await transport.close()
        closed.set()
        assert await call == b"mine"
        assert await asyncio.to_thread(gone.wait, 60)


async def test_a_token_that_could_end_its_header_is_not_sent() -> None:
    with ByteServer() as server:
        with pytest.raises(FerryError) as caught:
            await HttpTransport(server.url, "fat_\r\nx: y").call(METHOD, b"", 20)
        assert (caught.value.reason, server.seen) == ("TOKEN_INVALID", [])


async def test_a_hub_on_a_unix_socket(connect: Connect, tmp_path: Path) -> None:
    with ByteServer(unix=tmp_path / "hub.sock", script=[good(b"hello")]):
        assert await connect(f"unix:{tmp_path}/hub.sock").call(METHOD, b"", 20) == b"hello"


FAULTS: dict[str, tuple[Behaviour, str]] = {
    "own error": (answer(404, connect_error(FerryError("ASSET_NOT_FOUND", "no", assetId="a"))), "ASSET_NOT_FOUND"),
    "own 401": (answer(401, connect_error(FerryError("TOKEN_EXPIRED", "old"))), "TOKEN_EXPIRED"),
    "bare 401": (answer(401), "TOKEN_INVALID"),
    "unknown method": (answer(404), "UNIMPLEMENTED"),
    "a gateway's 404": (answer(404, b"<html>", Content_Type="text/html; charset=utf-8"), "HUB_UNREACHABLE"),
    "a gateway's 403": (answer(403, b"<html>", Content_Type="text/html"), "HUB_UNREACHABLE"),
    "bare 500": (answer(500, b"oops"), "HUB_OVERLOADED"),
    "bad gateway": (answer(502, b"<html>"), "HUB_OVERLOADED"),
    "redirect": (answer(302, Location="http://169.254.169.254/"), "HUB_UNREACHABLE"),
    "sign-in page": (answer(200, b"<html>", Content_Type="text/html"), "HUB_UNREACHABLE"),
    "reset": (reset, "HUB_UNREACHABLE"),
    "canceled": (answer(499, json.dumps({"code": "canceled"}).encode()), "CANCELLED"),
    "unknown": (answer(500, json.dumps({"code": "unknown", "message": "x"}).encode()), "INTERNAL"),
    "json that is no error": (answer(400, b"[1, 2]"), "INTERNAL"),
    "hostile metadata": (
        answer(409, json.dumps({"code": "already_exists", "details": [foreign_info(reason="x", alias="y")]}).encode()),
        "ALIAS_TAKEN",
    ),
    "broken detail": (
        answer(
            409,
            json.dumps(
                {"code": "unavailable", "details": [{"type": "google.rpc.ErrorInfo", "value": "////"}, 7]}
            ).encode(),
        ),
        "HUB_OVERLOADED",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_faults_have_their_reason(connect: Connect, fault: str) -> None:
    behaviour, reason = FAULTS[fault]
    with ByteServer(script=[behaviour]) as server:
        assert (await fails(connect(server.url))).reason == reason


async def test_metadata_and_retry_delay_survive(connect: Connect) -> None:
    error = FerryError("QUOTA_EXCEEDED", "full", retry_after_s=2.5, freeBytes=1, neededBytes=2)
    with ByteServer(script=[answer(429, connect_error(error)), answer(429, Retry_After="9")]) as server:
        got = await fails(connect(server.url))
        assert (got.reason, got.retry_after_s, got.metadata) == (
            "QUOTA_EXCEEDED",
            2.5,
            {"freeBytes": "1", "neededBytes": "2"},
        )
        got = await fails(connect(server.url))
        assert (got.reason, got.retry_after_s) == ("RATE_LIMITED", 9)


async def test_nobody_listens(connect: Connect) -> None:
    with dead_port() as port:
        url = f"http://127.0.0.1:{port}"
        error = await fails(connect(url))
    assert (error.reason, error.metadata["hub"]) == ("HUB_UNREACHABLE", url)


@pytest.mark.parametrize("turns", [0, 10], ids=["at once", "and is seen to"])
def test_a_connection_that_ends_before_the_request_is_written(monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    lost: list[dict[str, object]] = []
    connect = Connections._connect

    async def dial(_: object) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    async def connect_slowly(self: Connections) -> object:
        connection = await connect(self)
        for _ in range(turns):
            await asyncio.sleep(0)
        return connection

    async def call() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        transport = HttpTransport("http://127.0.0.1:1", TOKEN)
        assert (await fails(transport, timeout_s=5)).reason == "HUB_UNREACHABLE"
        await transport.close()

    monkeypatch.setattr("ferryd.remote.connection._dial", dial)
    monkeypatch.setattr(Connections, "_connect", connect_slowly)
    for run in (uvloop.run, asyncio.run):
        run(call())
    assert not lost


async def test_the_callers_deadline(connect: Connect) -> None:
    with ByteServer(script=[stall]) as server:
        assert (await fails(connect(server.url), timeout_s=0.2)).reason == "DEADLINE_EXCEEDED"


async def test_a_reply_without_end_is_cut(connect: Connect) -> None:
    def endless(request: Request) -> bool:
        request.sock.sendall(b"HTTP/1.1 200 X\r\nContent-Type: application/proto\r\n\r\n")
        for _ in range(MAX_REPLY_BYTES // (1 << 20) + 2):
            request.sock.sendall(bytes(1 << 20))
        return False

    with ByteServer(script=[endless]) as server:
        assert (await fails(connect(server.url))).reason == "TOO_LARGE"


async def test_without_a_token_nothing_is_sent() -> None:
    with ByteServer() as server:
        assert (await fails(HttpTransport(server.url, ""))).reason == "NOT_SIGNED_IN"
        assert server.seen == []


def in_process(answer: Answer) -> DirectTransport:
    async def get() -> Answer:
        return answer

    return DirectTransport(get, "usr_me")


async def test_the_hub_gets_the_request_and_who_asks() -> None:
    async def answer(*asked: object) -> bytes:
        assert asked == ("usr_me", METHOD, b"request")
        return b"reply"

    assert await in_process(answer).call(METHOD, b"request", 20) == b"reply"


async def test_the_hubs_errors_come_as_they_are() -> None:
    error = FerryError("ALIAS_TAKEN", "taken", alias="a")

    async def answer(*_: object) -> bytes:
        raise error

    with pytest.raises(FerryError) as caught:
        await in_process(answer).call(METHOD, b"", 20)
    assert caught.value is error


async def test_a_hub_that_raises_is_internal_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(*_: object) -> bytes:
        raise TimeoutError("secret of the database")

    with caplog.at_level(logging.ERROR), pytest.raises(FerryError) as caught:
        await in_process(answer).call(METHOD, b"", 20)
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in str(caught.value)
    assert caught.value.metadata["errorId"] in caplog.text


async def test_the_hub_is_awaited_until_it_is_loaded_and_no_longer_than_the_deadline() -> None:
    loaded: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def answer(*_: object) -> bytes:
        return b"reply"

    async def get() -> Answer:
        return await asyncio.shield(loaded)

    transport = DirectTransport(get, "usr_me")
    with pytest.raises(FerryError) as caught:
        await transport.call(METHOD, b"", 0.05)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    asyncio.get_running_loop().call_soon(loaded.set_result, answer)
    assert await transport.call(METHOD, b"", 20) == b"reply"


async def test_a_reply_too_large_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inprocess, "MAX_REPLY_BYTES", 3)

    async def answer(*_: object) -> bytes:
        return b"four"

    with pytest.raises(FerryError) as caught:
        await in_process(answer).call(METHOD, b"", 20)
    assert caught.value.reason == "TOO_LARGE"
