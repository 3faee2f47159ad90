"""The connection to the daemon, awaited: `channel.Connection` for asyncio. Upload steps 1 and 2.

Starting the daemon and importing grpc happen in a thread, so that neither holds up the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from ferryman import address
from ferryman.channel import GONE_S, POLL_S, Link, contexts_call, import_wire, lost, repeatable
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.call import Call
    from ferryman.wire import Wire

T = TypeVar("T")


class AsyncConnection(Link):
    """Awaits the replies of calls, in whichever event loop asks."""

    #: The channel before this one. With its last channel grpc.aio ends its thread and waits for it, which must not
    #: happen in the loop: so one is kept until there is another.
    _previous: Wire | None = None

    def drop(self, wire: Wire | None) -> None:
        """Forget a channel whose daemon is gone; calls of other tasks on it end by themselves."""
        self._previous = wire or self._previous
        super().drop(wire)

    async def run(self, call: Call[T]) -> T:
        """The reply of a call; asked once more where the first daemon was stopping or gone."""
        try:
            return await self._run(call)
        except DaemonError as error:
            if not (repeatable(error) or lost(error, call)):
                raise
            await self.await_gone(error)
        return await self._run(call)

    async def _run(self, call: Call[T]) -> T:
        wire = await self.open()
        if wanted := self.hub_in_doubt(wire, call):
            self.compare(wire, wanted, await self._run(contexts_call()))
        try:
            reply = await wire.unary(call)(call.request, timeout=self.timeout_of(call), metadata=self.metadata)
        except asyncio.CancelledError as fault:
            raise self._cancelled(wire, fault) from None
        except wire.faults as fault:
            raise self.told(wire, fault) from None
        return call.parse(reply)

    async def stream(self, call: Call[T], timeout_s: float | None) -> AsyncGenerator[T, None]:
        """The events of a streaming call. Closing the iterator ends the call. Asked once more where the first daemon
        was stopping or gone before it could have done anything; never in the midst of it."""
        begun = False
        try:
            async with aclosing(self._stream(call, timeout_s)) as events:
                async for event in events:
                    begun = True
                    yield event
                return
        except DaemonError as error:
            if begun or not repeatable(error):
                raise
            await self.await_gone(error)
        async with aclosing(self._stream(call, timeout_s)) as events:
            async for event in events:
                yield event

    async def _stream(self, call: Call[T], timeout_s: float | None) -> AsyncGenerator[T, None]:
        wire = await self.open()
        events = None
        try:
            events = wire.stream(call)(call.request, timeout=timeout_s, metadata=self.metadata)
            async for event in events:
                yield call.parse(event)
        except asyncio.CancelledError as fault:
            raise self._cancelled(wire, fault) from None
        except wire.faults as fault:
            raise self.told(wire, fault) from None
        finally:
            if events is not None:
                events.cancel()

    def _cancelled(self, wire: Wire, fault: asyncio.CancelledError) -> BaseException:
        """An error when the channel was closed (grpc.aio then cancels its calls); the task's own cancellation stays."""
        task = asyncio.current_task()
        return self.told(wire, fault) if self._closed and task is not None and not task.cancelling() else fault

    async def open(self) -> Wire:
        """The open channel of the running loop; a channel of another loop is forgotten."""
        wire = self._wire
        loop = asyncio.get_running_loop()
        if wire is not None and wire.loop is not loop:
            self.drop(wire)
            wire = None
        if wire is None:
            path = await asyncio.to_thread(self.prepare)  # neither a start nor an import may hold up the loop
            wire = self._wire  # another task may have been quicker, or another thread's loop
            if wire is None or wire.loop is not loop:
                self.drop(wire)
                wire = self._wire = import_wire().open_wire(path, aio=True)
        return wire

    async def await_gone(self, error: DaemonError) -> None:
        """Wait until a daemon that is stopping has gone, at most 3 s: one that only drains stays."""
        deadline = time.monotonic() + GONE_S
        while error.reason == "SHUTTING_DOWN" and time.monotonic() < deadline:
            if not await asyncio.to_thread(lambda: address.answers(self.socket())):
                break
            await asyncio.sleep(POLL_S)
        self.drop(self._wire)

    async def close(self) -> None:
        """End the connection; running calls end with an error. Calling it again does nothing."""
        wire = self.retire()
        self._previous = wire or self._previous
        if wire is not None and wire.loop is asyncio.get_running_loop():
            await wire.channel.close()
