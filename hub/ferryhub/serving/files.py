"""Stretches of files as bodies of replies, by `sendfile`: the bytes never come into this process. D8, below ASGI.

A thread sends while the client's side takes it, a moment longer, and then lets go: a slow client holds none. Which file
and which bytes is the application's.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from ferryhub.extensions import ZERO_COPY

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Message = MutableMapping[str, Any]

#: How long a thread waits for a client, in milliseconds.
_PATIENCE_MS: Final = 5


class FileSender:
    """`send` of one response, which takes stretches of files, too. Close it after the response."""

    def __init__(self, connection: HttpToolsProtocol, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        #: A descriptor of our own: the event loop may close its one, and does not let go of it.
        self._socket = -1
        self._writable: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()

    async def send(self, message: Message) -> None:
        """ASGI's. Error: `ConnectionError` when the client has gone before the end of a stretch."""
        if message["type"] != ZERO_COPY:
            await self._cycle.send(message)  # type: ignore[arg-type]
            return
        await self._emptied()
        offset, end = message["offset"], message["offset"] + message["count"]
        while offset < end:
            offset += await self._push(message["file"], offset, end - offset)
            if offset < end:
                await self._until_writable()
        self._cycle.expected_content_length -= message["count"]
        more = message.get("more_body", False)
        await self._cycle.send({"type": "http.response.body", "body": b"", "more_body": more})

    def lost(self) -> None:
        """The connection is gone: wait for nothing."""
        self._gone.set()
        self._wake()

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket >= 0:
            os.close(self._socket)
            self._socket = -1
            if not self._connection.transport.is_closing():
                self._connection.transport.set_write_buffer_limits()

    async def _emptied(self) -> None:
        """Wait until everything written before has left the transport, or it would come after the file."""
        transport = self._connection.transport
        if self._socket < 0 and not transport.is_closing():
            transport.set_write_buffer_limits(high=0)
            self._socket = os.dup(transport.get_extra_info("socket").fileno())
        while not transport.is_closing() and transport.get_write_buffer_size():
            await asyncio.sleep(0)
            await self._connection.flow.drain()

    async def _push(self, file: int, offset: int, count: int) -> int:
        """Send what can be sent now, in a thread, which must have ended before a descriptor is closed."""
        if not self._connection.transport.is_closing():
            pushing = self._connection.loop.run_in_executor(None, _push, self._socket, file, offset, count)
            try:
                return await asyncio.shield(pushing)
            except asyncio.CancelledError:
                await asyncio.wait([pushing])
                raise
            except ConnectionError:
                pass  # said below, once the server knows, too
        self._connection.transport.abort()
        await self._gone.wait()
        raise ConnectionResetError("the client has gone")

    async def _until_writable(self) -> None:
        if self._connection.transport.is_closing():
            return
        loop = self._connection.loop
        self._writable = loop.create_future()
        loop.add_writer(self._socket, self._wake)
        try:
            await self._writable
        finally:
            loop.remove_writer(self._socket)


def _push(socket: int, file: int, offset: int, count: int) -> int:
    """Returns how many bytes went; fewer when the client is slow. Errors: `EOFError`, `ConnectionError`."""
    writable, sent = select.poll(), 0
    writable.register(socket, select.POLLOUT)
    while sent < count:
        try:
            moved = os.sendfile(socket, file, offset + sent, count - sent)
        except BlockingIOError:
            if not writable.poll(_PATIENCE_MS):
                break
        else:
            if not moved:
                raise EOFError("the file is shorter than it was")
            sent += moved
    return sent
