"""A TCP proxy between daemon and hub that counts bytes and, when told, cuts, stalls, slows or damages them.

`up` is from the client to the server. It runs in a thread of its own, so that blocking tests can use it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Literal, Self, TypeVar

T = TypeVar("T")
Direction = Literal["up", "down"]
_READ_BYTES = 1 << 16
#: More than any head, and than any message of a hub in the tests that want a byte changed.
_LARGE_BYTES = 1 << 14


class Proxy:
    """`with Proxy("127.0.0.1", hub_port) as proxy:` listens on `proxy.port`. Its settings may change while it runs."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        #: Bytes passed on since the start.
        self.moved: dict[Direction, int] = {"up": 0, "down": 0}
        self.connections = 0
        #: New connections are closed at once, as by a machine without a listener.
        self.refusing = False
        #: No byte passes, and nobody is told.
        self.stalled = False
        #: Bytes per second of each direction of each connection; 0 for unlimited.
        self.limit_bps = 0
        #: Sees every piece that passes, in the proxy's thread.
        self.tap: Callable[[Direction, bytes], None] | None = None
        self._cut_at: dict[Direction, int | None] = {"up": None, "down": None}
        self._flip_at: dict[Direction, int | None] = {"up": None, "down": None}
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every open connection now."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def cut_after(self, direction: Direction, count: int) -> None:
        """Reset every open connection, once, when `count` more bytes have passed that way."""
        self._cut_at[direction] = self.moved[direction] + count

    def flip_after(self, direction: Direction, count: int) -> None:
        """Change one byte, once: the last one of the first large piece that ends after `count` more bytes that way. A
        large piece ends within a body, so that no word of a head is changed."""
        self._flip_at[direction] = self.moved[direction] + count

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_READ_BYTES))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _close(self) -> None:
        self._server.close()
        self._abort_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        while self._open:
            writer = self._open.pop()
            if writer.is_closing():
                continue
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()  # with no time to linger, the peer sees a reset

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            if not self.refusing:
                await self._join(reader, writer)
        except* OSError:
            pass  # a cut connection, either side: what the proxy is for
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._reach()
        self._open.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump("up", reader, far_writer))
                group.create_task(self._pump("down", far_reader, writer))
        finally:
            self._open.discard(far_writer)
            far_writer.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection to the server. Errors: `OSError`."""
        return await asyncio.open_connection(*self.target, limit=_READ_BYTES)

    async def _pump(self, way: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_READ_BYTES):
            if self.tap is not None:
                self.tap(way, piece)
            while self.stalled:  # noqa: ASYNC110 (set from another thread)
                await asyncio.sleep(0.01)
            writer.write(self._damage(way, piece))
            await writer.drain()
            if self.limit_bps:
                await asyncio.sleep(len(piece) / self.limit_bps)
            self._count(way, len(piece))
        if writer.can_write_eof():
            writer.write_eof()

    def _damage(self, way: Direction, piece: bytes) -> bytes:
        at = self._flip_at[way]
        if at is None or len(piece) < _LARGE_BYTES or self.moved[way] + len(piece) <= at:
            return piece
        self._flip_at[way] = None
        return piece[:-1] + bytes([piece[-1] ^ 0x40])

    def _count(self, way: Direction, count: int) -> None:
        self.moved[way] += count
        at = self._cut_at[way]
        if at is not None and self.moved[way] >= at:
            self._cut_at[way] = None
            self._abort_all()
