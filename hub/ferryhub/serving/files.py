"""Stretches of files as bodies of replies, by `sendfile`: the bytes never come into this process. D8, below ASGI.

A thread sends while the client's side takes it, a moment longer, and then lets go: a slow client holds none. Which file
and which bytes is the application's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from ferryhub.extensions import ZERO_COPY

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Message = MutableMapping[str, Any]

#: How long a thread waits for a client, in milliseconds.
_PATIENCE_MS: Final = 5
#: Of their own: a disk that hangs holds up nothing but files. They are started when needed and end with the process.
_THREADS: Final = ThreadPoolExecutor(8, "hub-files")
#: How the network says that nobody is there any more, beyond Python's `ConnectionError`.
_UNREACHABLE: Final = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
#: From file systems without `sendfile`; and how much is then read at once.
_NO_SENDFILE: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_READ_BYTES: Final = 256 << 10


class FileSender:
    """`send` of one response, which takes stretches of files, too. Close it after the response.

    `gone` is set once the connection is lost; call `wake` then.
    """

    def __init__(self, connection: HttpToolsProtocol, cycle: RequestResponseCycle, gone: asyncio.Event) -> None:
        self._connection = connection
        self._cycle = cycle
        #: A descriptor of our own: the event loop may close its one, and does not let go of it.
        self._socket = -1
        self._writable: asyncio.Future[None] | None = None
        self._gone = gone

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

    def wake(self) -> None:
        """The client takes bytes again, or never will."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def close(self, *, last: bool) -> None:
        """Let go of the socket; when no other response has begun, of the connection's limits, too."""
        if self._socket >= 0:
            os.close(self._socket)
            self._socket = -1
        if last and not self._connection.transport.is_closing():
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
            pushing = self._connection.loop.run_in_executor(_THREADS, _push, self._socket, file, offset, count)
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
        loop.add_writer(self._socket, self.wake)
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
            moved = _move(socket, file, offset + sent, count - sent)
        except BlockingIOError:
            if not writable.poll(_PATIENCE_MS):
                break
        except OSError as error:
            if error.errno in _UNREACHABLE:
                raise ConnectionResetError("the client cannot be reached") from error
            raise
        else:
            if not moved:
                raise EOFError("the file is shorter than it was")
            sent += moved
    return sent


def _move(socket: int, file: int, offset: int, count: int) -> int:
    """`os.sendfile`, or what comes to the same where the file's system has none."""
    try:
        return os.sendfile(socket, file, offset, count)
    except OSError as error:
        if error.errno not in _NO_SENDFILE:
            raise
    return os.write(socket, os.pread(file, min(count, _READ_BYTES), offset))
