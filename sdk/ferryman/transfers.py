"""Transfers without waiting for them: start, find again, list, watch, limit. Upload step 1.

The two classes run the calls of `transfer_calls.py` and give the handles of `handles.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ferryman import transfer_calls
from ferryman.handles import AsyncTransfer, Transfer
from ferryman.moving import REQUIRED
from ferryman.pages import AsyncPage, Page

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.arguments import AssetRef, CollectionRef, ContentRef, ProjectRef, StrPath, TransferRef
    from ferryman.channel import Connection
    from ferryman.progress import DownloadResult, TransferInfo, UploadResult
    from ferryman.reports import Limits


class Transfers:
    """`client.transfers`: transfers that go on by themselves, and what they share.

    Example:
        transfer = client.transfers.upload("run-7/", title="Run 7", owner_type="project", owner_id=project)
        print(transfer.id)
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upload(
        self,
        local_path: StrPath | Iterable[StrPath],
        *,
        title: str = REQUIRED,
        owner_type: str = REQUIRED,
        owner_id: str | ProjectRef = REQUIRED,
        description: str | None = None,
        alias: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        collection_id: CollectionRef | None = None,
        chunk_size_mb: int | None = None,
        asset: AssetRef | None = None,
        message: str | None = None,
        priority: int = 0,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
    ) -> Transfer[UploadResult]:
        """Queue an upload and return its handle as soon as it is on stable storage, before any byte moves.

        Arguments and errors are those of `Client.upload`.

        Example:
            client.transfers.upload("big.h5", title="Big", owner_type="project", owner_id=project).wait()
        """
        upload = transfer_calls.Upload(
            local_path=local_path,
            title=title,
            owner_type=owner_type,
            owner_id=owner_id,
            description=description,
            alias=alias,
            tags=tags,
            metadata=metadata,
            collection_id=collection_id,
            chunk_size_mb=chunk_size_mb,
            asset=asset,
            message=message,
            priority=priority,
            include=include,
            exclude=exclude,
        )
        return Transfer(self._connection, self._connection.run(transfer_calls.create_upload(upload)))

    def download(
        self,
        asset_id: AssetRef,
        dest_dir: StrPath,
        *,
        content_id: ContentRef | None = None,
        if_exists: str = "fail",
        include: str | Iterable[str] | None = None,
        priority: int = 0,
    ) -> Transfer[DownloadResult]:
        """Queue a download and return its handle as soon as it is on stable storage, before any byte moves.

        Arguments and errors are those of `Client.download`.

        Example:
            transfer = client.transfers.download("raw-1", "/tmp/downloads", priority=10)
        """
        call = transfer_calls.create_download(
            asset_id, dest_dir, content_id=content_id, if_exists=if_exists, include=include, priority=priority
        )
        return Transfer(self._connection, self._connection.run(call))

    def get(self, transfer: TransferRef) -> Transfer[Any]:
        """Find a transfer again by its id, from any process of this user. Error: `not_found`.

        Example:
            client.transfers.get("trf_01JD8Z3S6Q7M0V5W4X2Y1N9K8P").wait()
        """
        return Transfer(self._connection, self._connection.run(transfer_calls.get(transfer)))

    def list(self, *, states: Iterable[str] = (), page_size: int = 0, page_token: str = "") -> Page[TransferInfo]:
        """List transfers, newest first; only those in `states` (`queued`, `running`, …) when given.

        `page_size` is how many are fetched at a time: 0 means 50, at most 1,000. Error: `invalid_argument`.

        Example:
            failed = client.transfers.list(states=["failed"])
        """
        return Page(self._connection, transfer_calls.listing(states, page_size, page_token))

    def watch(self, transfers: Iterable[TransferRef] = (), *, min_interval_s: float = 0.2) -> Iterator[TransferInfo]:
        """Iterate over transfers as they change: first each as it stands, then every change, until all have settled.

        Without `transfers` all of them, new ones included, without end. Progress comes at most every `min_interval_s`
        seconds (default 0.2). Ends with `unavailable` when the daemon stops. Error: `not_found`.

        Example:
            for info in client.transfers.watch():
                print(info.transfer_id, info.state, info.waiting_for)
        """
        for info in self._connection.stream(transfer_calls.watch(transfers, min_interval_s), None):
            if info is not None:
                yield info

    def limits(self) -> Limits:
        """Get the limits in force for all transfers of this daemon.

        Error: `unavailable`.

        Example:
            client.transfers.limits().bandwidth_bps
        """
        return self._connection.run(transfer_calls.get_limits())

    def set_limits(
        self,
        *,
        bandwidth_bps: int | None = None,
        running_transfers: int | None = None,
        parts_in_flight: int | None = None,
    ) -> Limits:
        """Set limits for all transfers of this daemon, running ones included; None leaves one as it is. Remembered.

        `bandwidth_bps` is bytes per second, both ways together: 0 for unlimited, else at least 1,024.
        `running_transfers` and `parts_in_flight` are 1 to 64. Error: `invalid_argument`.

        Example:
            client.transfers.set_limits(bandwidth_bps=20_000_000)
        """
        return self._connection.run(transfer_calls.set_limits(bandwidth_bps, running_transfers, parts_in_flight))


class AsyncTransfers:
    """`client.transfers` of `AsyncClient`: as `Transfers`, awaited.

    Example:
        transfer = await client.transfers.upload("run-7/", title="Run 7", owner_type="project", owner_id=project)
        result = await transfer
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def upload(
        self,
        local_path: StrPath | Iterable[StrPath],
        *,
        title: str = REQUIRED,
        owner_type: str = REQUIRED,
        owner_id: str | ProjectRef = REQUIRED,
        description: str | None = None,
        alias: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        collection_id: CollectionRef | None = None,
        chunk_size_mb: int | None = None,
        asset: AssetRef | None = None,
        message: str | None = None,
        priority: int = 0,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
    ) -> AsyncTransfer[UploadResult]:
        """Queue an upload and return its handle, as `Transfers.upload`."""
        upload = transfer_calls.Upload(
            local_path=local_path,
            title=title,
            owner_type=owner_type,
            owner_id=owner_id,
            description=description,
            alias=alias,
            tags=tags,
            metadata=metadata,
            collection_id=collection_id,
            chunk_size_mb=chunk_size_mb,
            asset=asset,
            message=message,
            priority=priority,
            include=include,
            exclude=exclude,
        )
        call = await asyncio.to_thread(transfer_calls.create_upload, upload)  # it looks at paths
        return AsyncTransfer(self._connection, await self._connection.run(call))

    async def download(
        self,
        asset_id: AssetRef,
        dest_dir: StrPath,
        *,
        content_id: ContentRef | None = None,
        if_exists: str = "fail",
        include: str | Iterable[str] | None = None,
        priority: int = 0,
    ) -> AsyncTransfer[DownloadResult]:
        """Queue a download and return its handle, as `Transfers.download`."""
        call = await asyncio.to_thread(
            transfer_calls.create_download,
            asset_id,
            dest_dir,
            content_id=content_id,
            if_exists=if_exists,
            include=include,
            priority=priority,
        )
        return AsyncTransfer(self._connection, await self._connection.run(call))

    async def get(self, transfer: TransferRef) -> AsyncTransfer[Any]:
        """Find a transfer again by its id, from any process of this user, as `Transfers.get`."""
        return AsyncTransfer(self._connection, await self._connection.run(transfer_calls.get(transfer)))

    def list(self, *, states: Iterable[str] = (), page_size: int = 0, page_token: str = "") -> AsyncPage[TransferInfo]:
        """List transfers, as `Transfers.list`."""
        return AsyncPage(self._connection, transfer_calls.listing(states, page_size, page_token))

    async def watch(
        self, transfers: Iterable[TransferRef] = (), *, min_interval_s: float = 0.2
    ) -> AsyncIterator[TransferInfo]:
        """Iterate over transfers as they change, as `Transfers.watch`."""
        async for info in self._connection.stream(transfer_calls.watch(transfers, min_interval_s), None):
            if info is not None:
                yield info

    async def limits(self) -> Limits:
        """Get the limits in force for all transfers of this daemon, as `Transfers.limits`."""
        return await self._connection.run(transfer_calls.get_limits())

    async def set_limits(
        self,
        *,
        bandwidth_bps: int | None = None,
        running_transfers: int | None = None,
        parts_in_flight: int | None = None,
    ) -> Limits:
        """Set limits for all transfers of this daemon, as `Transfers.set_limits`."""
        return await self._connection.run(transfer_calls.set_limits(bandwidth_bps, running_transfers, parts_in_flight))
