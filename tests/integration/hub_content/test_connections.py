"""What our server's connections do for any application: files after files, clients that leave, disks that hang."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from ferryhub.extensions import ZERO_COPY, offer_of
from ferryhub.serving import bodies
from ferryhub.serving.connection import Connection
from ferrywire.parts import MIB
from tests.integration.hub_content.rig import content
from tests.support.tls import Certificate

App = Callable[[Any, Any, Any], Awaitable[None]]

DATA = content(MIB)
#: More than sockets hold for a reader that does not read.
LARGE_BYTES = 64 * MIB


@asynccontextmanager
async def _serving(app: App, http: Any = Connection, **options: Any) -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="error", loop="asyncio", ws="none", http=http)
    for name, value in options.items():
        setattr(config, name, value)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


async def _connected(server: uvicorn.Server, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1], **options)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n".encode()


async def _begin(send: Any, length: int) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _file(send: Any, fd: int, offset: int, count: int, *, more: bool = False) -> None:
    await send({"type": ZERO_COPY, "file": fd, "offset": offset, "count": count, "more_body": more})


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """A descriptor of a file with `DATA`, and with nothing behind it up to `LARGE_BYTES`."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    os.truncate(path, LARGE_BYTES)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


class _Two:
    """A small file, whose end takes as long as the head of the large one behind it."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._large_begun = asyncio.Event()
        self.small_ended = asyncio.Event()
        self.large_ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        #: When the large one's second stretch goes.
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/small":
            await _begin(send, 10)
            await _file(send, self._file, 0, 10)
            await self._large_begun.wait()
            self.small_ended.set()
            return
        try:
            await _begin(send, LARGE_BYTES)
            await _file(send, self._file, 0, MIB // 8, more=True)
            self._large_begun.set()
            await self.go_on.wait()
            await _file(send, self._file, MIB // 8, LARGE_BYTES - MIB // 8)
            self.large_ended.set_result("whole")
        except ConnectionError:
            self.large_ended.set_result("the client has gone")

    async def ask(self, server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One after the other; the first one's task has ended."""
        reader, writer = await _connected(server)
        writer.write(_get("/small"))
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(10)
        writer.write(_get("/large"))
        await reader.readuntil(b"\r\n\r\n")
        await self.small_ended.wait()
        return reader, writer


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The descriptors that were copied and are open."""
    found: set[int] = set()
    dup, close = os.dup, os.close

    def copied(fd: int) -> int:
        found.add(copy := dup(fd))
        return copy

    def closed(fd: int) -> None:
        found.discard(fd)
        close(fd)

    monkeypatch.setattr(os, "dup", copied)
    monkeypatch.setattr(os, "close", closed)
    return found


async def test_a_client_that_leaves_is_noticed_by_the_next_response(file: int, copies: set[int]) -> None:
    """The first response's task ends after the second one's has begun, and must leave it its news."""
    app = _Two(file)
    async with _serving(app) as server:
        _, writer = await app.ask(server)
        assert copies
        app.go_on.set()
        writer.transport.abort()
        assert await app.large_ended == "the client has gone"
        await asyncio.gather(*server.server_state.tasks)
        assert not copies


async def test_the_end_of_a_response_leaves_the_next_one_its_limits(file: int) -> None:
    app = _Two(file)
    async with _serving(app) as server:
        reader, writer = await app.ask(server)
        (connection,) = server.server_state.connections
        limits = connection.transport.get_write_buffer_limits
        assert limits() == (0, 0)
        app.go_on.set()
        assert await reader.readexactly(MIB) == DATA
        await reader.readexactly(LARGE_BYTES - MIB)
        assert await app.large_ended == "whole"
        await asyncio.gather(*server.server_state.tasks)
        assert limits() == (16 << 10, 64 << 10), "as asyncio has them"
        writer.close()


async def test_a_response_that_begins_after_the_client_left_ends(file: int) -> None:
    asked, lost = asyncio.Event(), asyncio.Event()
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    class Late(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

        async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
            asked.set()
            await lost.wait()
            await super()._answer(scope, receive, send)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await _begin(send, LARGE_BYTES)
        try:
            await _file(send, file, 0, LARGE_BYTES)
        except ConnectionError:
            ended.set_result("the client has gone")

    async with _serving(app, Late) as server:
        _, writer = await _connected(server)
        writer.write(_get("/"))
        await asked.wait()
        writer.transport.abort()
        assert await ended == "the client has gone"


async def test_a_client_that_leaves_in_mid_body_over_tls_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On asyncio's own loop, whose TLS has forgotten its connection by then."""
    monkeypatch.setattr(bodies, "_PASS_ON_S", 0.0)
    certificate = Certificate(tmp_path)
    half = 400_000
    waiting = asyncio.Event()
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        offer, memory, found, past = offer_of(scope), memoryview(bytearray(100_000)), 0, 0
        try:
            while True:
                if found == half:
                    waiting.set()
                offer(memory)
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                found += len(message["body"])
                past += isinstance(message["body"], memoryview)
        except Exception as error:
            ended.set_exception(error)
            raise
        ended.set_result("disconnected" if past else "nothing came past ASGI")

    files = {"ssl_certfile": certificate.cert, "ssl_keyfile": certificate.key}
    async with _serving(app, **files) as server:
        _, writer = await _connected(server, ssl=certificate.trust)
        writer.write(b"PUT / HTTP/1.1\r\nhost: hub\r\ncontent-length: 1000000\r\n\r\n" + bytes(half))
        await waiting.wait()
        writer.transport.abort()
        assert await ended == "disconnected"


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPIPE])
async def test_a_client_that_cannot_be_reached_has_gone(
    file: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "sendfile", _failing(number))
    ended: asyncio.Future[type[Exception]] = asyncio.get_running_loop().create_future()
    async with _serving(_giving(file, ended)) as server:
        reader, writer = await _connected(server)
        writer.write(_get("/"))
        assert issubclass(await ended, ConnectionError)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(MIB)
        writer.close()


async def test_a_disk_that_fails_is_the_hub_s_matter(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sendfile", _failing(errno.EIO))
    ended: asyncio.Future[type[Exception]] = asyncio.get_running_loop().create_future()
    async with _serving(_giving(file, ended)) as server:
        _, writer = await _connected(server)
        writer.write(_get("/"))
        assert not issubclass(await ended, ConnectionError)
        writer.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
async def test_a_file_system_without_sendfile_is_read(file: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "sendfile", _failing(number))
    ended: asyncio.Future[type[Exception]] = asyncio.get_running_loop().create_future()
    async with _serving(_giving(file, ended)) as server:
        reader, writer = await _connected(server)
        writer.write(_get("/"))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(MIB) == DATA
        writer.close()


async def test_files_on_a_disk_that_hangs_leave_others_their_threads(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sendfile, stuck, repaired = os.sendfile, threading.Event(), threading.Event()

    def hanging(*args: int) -> int:
        stuck.set()
        repaired.wait()
        return sendfile(*args)

    monkeypatch.setattr(os, "sendfile", hanging)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    ended: asyncio.Future[type[Exception]] = asyncio.get_running_loop().create_future()
    async with _serving(_giving(file, ended)) as server:
        reader, writer = await _connected(server)
        writer.write(_get("/"))
        try:
            assert await asyncio.to_thread(stuck.wait, 30), "the other threads do nothing meanwhile"
        finally:
            repaired.set()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(MIB) == DATA
        writer.close()


def _failing(number: int) -> Callable[..., int]:
    def fails(*_: int) -> int:
        raise OSError(number, os.strerror(number))

    return fails


def _giving(file: int, ended: asyncio.Future[type[Exception]]) -> App:
    """Gives a MiB of the file; `ended` says how that failed."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await _begin(send, MIB)
        try:
            await _file(send, file, 0, MIB)
        except OSError as error:
            ended.set_result(type(error))
            if not isinstance(error, ConnectionError):
                raise

    return app
