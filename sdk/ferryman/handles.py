"""Handles of transfers: wait, follow, pause, resume, cancel, in any process. Upload step 1, after the promise.

A handle holds nothing but the id: losing it, or the process, loses nothing. `Transfer` waits, `AsyncTransfer` awaits.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from ferryman import arguments, errors, transfer_calls
from ferryman.channel import repeatable
from ferryman.errors import DaemonError, DaemonTimeoutError, about_transfer, goes_on, timed_out
from ferryman.pages import AsyncPage, Page
from ferryman.progress import (
    DownloadResult,
    Follower,
    ProgressEvent,
    TransferFile,
    TransferInfo,
    UploadResult,
    download_result,
    failure,
    upload_result,
)

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

#: What `wait` gives: an `UploadResult` or a `DownloadResult`.
R = TypeVar("R", bound=UploadResult | DownloadResult)

#: The shortest time between two progress events, in seconds.
_INTERVAL_S: Final = 0.1
#: Restarts of the daemon that a waiter follows without any news in between.
_RESTARTS: Final = 3
#: grpc's clock may ring this much before ours.
_EARLY_S: Final = 0.1


class _Watch:
    """The rules of waiting that both handles share: how long, and what to do when the stream ends early."""

    def __init__(self, transfer_id: str, timeout_s: float | None) -> None:
        self._id = transfer_id
        self._timeout_s = arguments.seconds(timeout_s, "timeout_s")
        self._end = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        self._restarts = 0
        self._last: TransferInfo | None = None

    def left_s(self) -> float | None:
        """Seconds until the deadline; None without one. Raises `DaemonTimeoutError` when it has passed."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def news(self, info: TransferInfo) -> TransferInfo:
        """Note a snapshot: a transfer that moves may outlive any number of restarts."""
        if self._last is not None and info.persisted_bytes > self._last.persisted_bytes:
            self._restarts = 0
        self._last = info
        return info

    def follow(self, error: DaemonError) -> None:
        """Return when the stream is to be opened again after this error; raise otherwise."""
        if isinstance(error, DaemonTimeoutError) and self._end is not None and self._end - time.monotonic() < _EARLY_S:
            raise self._late() from None
        self._restarts += 1
        if not repeatable(error) or self._restarts > _RESTARTS:
            lost = isinstance(error, errors.ConnectionError | DaemonTimeoutError) or error.reason == "SHUTTING_DOWN"
            raise (about_transfer(error, self._id) if lost else error) from None

    def _late(self) -> DaemonError:
        return about_transfer(timed_out(f"the transfer took longer than {self._timeout_s:g} s"), self._id)


class _Handle(Generic[R]):
    """A transfer's id."""

    def __init__(self, transfer_id: str, kind: str) -> None:
        self._id = transfer_id
        self._kind = kind

    @property
    def id(self) -> str:
        """The id: `client.transfers.get(id)` finds the transfer again, in any process of this user."""
        return self._id

    @property
    def transfer_id(self) -> str:
        """The id, under the name that results have it."""
        return self._id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._kind} {self._id}>"


class Transfer(_Handle[R]):
    """A handle of a durable transfer, which goes on whatever becomes of the handle or this process.

    All methods raise `ConnectionError` when the daemon cannot be reached, `DaemonError` with code `not_found` for a
    transfer that is gone, and `failed_precondition` for a change that its state does not allow.

    Example:
        transfer = client.transfers.upload("run-7/", title="Run 7", owner_type="project", owner_id=project)
        transfer.set_priority(10)
        result = transfer.wait()
    """

    def __init__(self, connection: Connection, info: TransferInfo) -> None:
        super().__init__(info.transfer_id, info.kind)
        self._connection = connection

    def info(self) -> TransferInfo:
        """Get the transfer as it stands now.

        Example:
            transfer.info().waiting_for
        """
        return self._connection.run(transfer_calls.get(self.id))

    def wait(self, timeout_s: float | None = None, on_progress: Callable[[ProgressEvent], object] | None = None) -> R:
        """Wait until the transfer has settled and return its result: `UploadResult` or `DownloadResult`.

        At most `timeout_s` seconds; None (the default) waits without end. `on_progress` is called in this thread with
        events that never go backwards, the last one at 100 percent; what it raises comes out of `wait`.

        Raises the transfer's own error when it failed, `cancelled` when it was cancelled, `DaemonTimeoutError` when the
        time has passed, `ConnectionError` when the daemon died. The transfer goes on after each of the last two, after
        an exception in `on_progress` and after Ctrl-C.

        Example:
            result = client.transfers.get(transfer_id).wait(timeout_s=600)
        """
        follower = Follower()
        try:
            with closing(self._follow(timeout_s)) as snapshots:
                for info in snapshots:
                    event = follower.event(info)
                    if event is not None and on_progress is not None:
                        on_progress(event)
        except KeyboardInterrupt as error:
            error.add_note(goes_on(self.id))
            raise
        return self._result(info)

    def events(self) -> Iterator[ProgressEvent]:
        """Iterate over the transfer's progress until it has settled; raises its error at the end, as `wait` does.

        Example:
            for event in transfer.events():
                print(f"{event.percent:.0f}%")
        """
        follower = Follower()
        with closing(self._follow(None)) as snapshots:
            for info in snapshots:
                event = follower.event(info)
                if event is not None:
                    yield event
        if error := failure(info):
            raise error

    def pause(self) -> TransferInfo:
        """Pause the transfer; what it has sent is kept. Durable when it returns.

        Example:
            transfer.pause().state
        """
        return self._connection.run(transfer_calls.pause(self.id))

    def resume(self) -> TransferInfo:
        """Queue a paused or failed transfer again; it continues where the receiver says it stopped.

        Example:
            client.transfers.get(error.metadata["transferId"]).resume()
        """
        return self._connection.run(transfer_calls.resume(self.id))

    def cancel(self) -> TransferInfo:
        """Stop the transfer for good and remove what was half done, at the hub and on disk.

        Example:
            transfer.cancel()
        """
        return self._connection.run(transfer_calls.cancel(self.id))

    def retry(self) -> TransferInfo:
        """Try a failed transfer again, or a waiting one at once, with a fresh retry budget.

        Example:
            transfer.retry()
        """
        return self._connection.run(transfer_calls.retry(self.id))

    def set_priority(self, priority: int) -> TransferInfo:
        """Set the order among queued transfers: -100 to 100, higher first; the default is 0.

        Example:
            transfer.set_priority(50)
        """
        return self._connection.run(transfer_calls.set_priority(self.id, priority))

    def files(self) -> Page[TransferFile]:
        """List the transfer's files, in manifest order.

        Example:
            [file.path for file in transfer.files() if file.persisted_bytes < file.size_bytes]
        """
        return Page(self._connection, transfer_calls.files(self.id))

    def _follow(self, timeout_s: float | None) -> Generator[TransferInfo, None, None]:
        """Snapshots until the transfer has settled, the last one included; follows the daemon through restarts."""
        watch = _Watch(self.id, timeout_s)
        call = transfer_calls.watch([self], _INTERVAL_S)
        while True:
            try:
                with closing(self._connection.stream(call, watch.left_s())) as snapshots:
                    for info in snapshots:
                        if info is not None:
                            yield watch.news(info)
                            if info.settled:
                                return
                watch.follow(DaemonError("unavailable", "the watch ended early", reason="SHUTTING_DOWN"))
            except DaemonError as error:
                watch.follow(error)
                self._connection.await_gone(error)

    def _result(self, info: TransferInfo) -> R:
        if error := failure(info):
            raise error
        if info.kind == "upload":
            return cast("R", upload_result(info))
        return cast("R", download_result(info, list(self.files())))


class AsyncTransfer(_Handle[R]):
    """A handle as `Transfer`, awaited; awaiting the handle itself is `wait()`.

    Example:
        transfer = await client.transfers.upload("run-7/", title="Run 7", owner_type="project", owner_id=project)
        result = await transfer
    """

    def __init__(self, connection: AsyncConnection, info: TransferInfo) -> None:
        super().__init__(info.transfer_id, info.kind)
        self._connection = connection

    def __await__(self) -> Generator[Any, None, R]:
        return self.wait().__await__()

    async def info(self) -> TransferInfo:
        """Get the transfer as it stands now, as `Transfer.info`."""
        return await self._connection.run(transfer_calls.get(self.id))

    async def wait(
        self, timeout_s: float | None = None, on_progress: Callable[[ProgressEvent], object] | None = None
    ) -> R:
        """Wait until the transfer has settled and return its result, as `Transfer.wait`.

        `on_progress` is called in the event loop. Cancelling the waiting task leaves the transfer running.
        """
        follower = Follower()
        async with aclosing(self._follow(timeout_s)) as snapshots:
            async for info in snapshots:
                event = follower.event(info)
                if event is not None and on_progress is not None:
                    on_progress(event)
        return await self._result(info)

    async def events(self) -> AsyncIterator[ProgressEvent]:
        """Iterate over the transfer's progress until it has settled, as `Transfer.events`."""
        follower = Follower()
        async with aclosing(self._follow(None)) as snapshots:
            async for info in snapshots:
                event = follower.event(info)
                if event is not None:
                    yield event
        if error := failure(info):
            raise error

    async def pause(self) -> TransferInfo:
        """Pause the transfer, as `Transfer.pause`."""
        return await self._connection.run(transfer_calls.pause(self.id))

    async def resume(self) -> TransferInfo:
        """Queue a paused or failed transfer again, as `Transfer.resume`."""
        return await self._connection.run(transfer_calls.resume(self.id))

    async def cancel(self) -> TransferInfo:
        """Stop the transfer for good, as `Transfer.cancel`."""
        return await self._connection.run(transfer_calls.cancel(self.id))

    async def retry(self) -> TransferInfo:
        """Try a failed transfer again, as `Transfer.retry`."""
        return await self._connection.run(transfer_calls.retry(self.id))

    async def set_priority(self, priority: int) -> TransferInfo:
        """Set the order among queued transfers, as `Transfer.set_priority`."""
        return await self._connection.run(transfer_calls.set_priority(self.id, priority))

    def files(self) -> AsyncPage[TransferFile]:
        """List the transfer's files, as `Transfer.files`; for `async for`."""
        return AsyncPage(self._connection, transfer_calls.files(self.id))

    async def _follow(self, timeout_s: float | None) -> AsyncGenerator[TransferInfo, None]:
        """Snapshots until the transfer has settled, the last one included; follows the daemon through restarts."""
        watch = _Watch(self.id, timeout_s)
        call = transfer_calls.watch([self], _INTERVAL_S)
        while True:
            try:
                async with aclosing(self._connection.stream(call, watch.left_s())) as snapshots:
                    async for info in snapshots:
                        if info is not None:
                            yield watch.news(info)
                            if info.settled:
                                return
                watch.follow(DaemonError("unavailable", "the watch ended early", reason="SHUTTING_DOWN"))
            except DaemonError as error:
                watch.follow(error)
                await self._connection.await_gone(error)

    async def _result(self, info: TransferInfo) -> R:
        if error := failure(info):
            raise error
        if info.kind == "upload":
            return cast("R", upload_result(info))
        return cast("R", download_result(info, [file async for file in self.files()]))
