"""The body of a large request, read from its socket straight into memory that the application offers.

Upload step 8, below ASGI. Its messages would have every byte copied four times on the event loop. The HTTP parser finds
where a body begins and how long it is; the bytes after that pass it by, exactly as many, and it goes on behind them.
What the bytes are is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Message = MutableMapping[str, Any]

#: What comes slowly is passed on after this time, in seconds, though the memory is not full.
_PASS_ON_S: Final = 0.25
_WASTE_BYTES: Final = 64 << 10


class LargeBody(asyncio.BufferedProtocol):
    """The connection's protocol from the first pieces of a body until its last byte. Reads only while it is asked.

    `length` is that of the whole body; `whole` is called when the connection's own protocol goes on. What comes after
    an early answer is read to nowhere, for as long as the server keeps an idle connection: nobody can send waste for
    ever, and whoever is slower with what is left is cut off.
    """

    def __init__(
        self, connection: HttpToolsProtocol, cycle: RequestResponseCycle, length: int, whole: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._cycle = cycle
        self._left = length
        self._whole = whole
        self._taken = False
        self._memory: memoryview | None = None
        self._filled = 0
        self._asked_at = 0.0
        self._ready = asyncio.Event()

    def offer(self, memory: memoryview) -> None:
        """Where the next bytes may go."""
        self._memory = memory

    async def receive(self) -> Message:
        """ASGI's. The first message is the server's own: it says "100 Continue", and has what came with the head."""
        if self._taken and self._left:
            return await self._fill()
        message: Message = await self._cycle.receive()  # type: ignore[assignment]
        self._left -= len(message.get("body", b""))
        if self._memory is not None and message.get("more_body", False) and self._left > 0:
            self._taken = True
            self._connection.flow.pause_reading()
            self._connection.transport.set_protocol(self)
        self._memory = None
        return message

    async def _fill(self) -> Message:
        memory, flow = self._memory, self._connection.flow
        if memory is None:
            raise RuntimeError("offer memory before each receive")
        if self._cycle.disconnected:
            return {"type": "http.disconnect"}
        self._filled, self._asked_at = 0, self._connection.loop.time()
        self._ready.clear()
        flow.resume_reading()
        try:
            await self._ready.wait()
        finally:
            self._memory = None
            if self._left and not self._cycle.disconnected:
                flow.pause_reading()
        if self._cycle.disconnected and not self._filled:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": memory[: self._filled], "more_body": self._left > 0}

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio's. Never more than belongs to the body; memory of nobody's after an early answer."""
        memory = self._memory[self._filled :] if self._memory is not None else memoryview(bytearray(_WASTE_BYTES))
        return memory[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio's."""
        self._left -= nbytes
        self._filled += nbytes
        if not self._left:
            self._connection.transport.set_protocol(self._connection)
            self._whole()
        elif self._memory is None:
            return
        elif self._filled == len(self._memory):
            self._connection.flow.pause_reading()
        elif self._connection.loop.time() - self._asked_at < _PASS_ON_S:
            return
        self._ready.set()

    def eof_received(self) -> None:
        """asyncio's: the connection closes."""
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self._connection.connection_lost(exc)
        self._ready.set()

    def pause_writing(self) -> None:
        """asyncio's."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """asyncio's."""
        self._connection.resume_writing()
