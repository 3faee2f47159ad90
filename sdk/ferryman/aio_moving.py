"""Uploads and downloads, awaited: `AsyncClient.upload`, `update_content` and `download`. Upload step 1.

The functions of `moving.py`, which documents their arguments; they differ in nothing but how a call is awaited. Paths
are looked at in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ferryman.moving import REQUIRED

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.arguments import AssetRef, CollectionRef, ContentRef, ProjectRef, StrPath
    from ferryman.progress import DownloadResult, ProgressEvent, UploadResult


class Connected(Protocol):
    """What the functions below need of `self`: they are methods of the client and of its resources alike."""

    @property
    def _connection(self) -> AsyncConnection: ...


async def upload(
    self: Connected,
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
    on_progress: Callable[[ProgressEvent], object] | None = None,
    transfer_timeout_s: float | None = 3600,
    asset: AssetRef | None = None,
    message: str | None = None,
    priority: int = 0,
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
) -> UploadResult:
    """Upload a file, a directory or several of them as one asset, as `Client.upload`."""
    from ferryman import arguments, transfer_calls
    from ferryman.handles import AsyncTransfer

    timeout_s = arguments.seconds(transfer_timeout_s, "transfer_timeout_s")
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
    info = await self._connection.run(await asyncio.to_thread(transfer_calls.create_upload, upload))
    transfer: AsyncTransfer[UploadResult] = AsyncTransfer(self._connection, info)
    return await transfer.wait(timeout_s, on_progress)


async def update_content(
    self: Connected,
    asset_id: AssetRef,
    local_path: StrPath | Iterable[StrPath],
    *,
    message: str | None = None,
    chunk_size_mb: int | None = None,
    on_progress: Callable[[ProgressEvent], object] | None = None,
    transfer_timeout_s: float | None = 3600,
    priority: int = 0,
) -> UploadResult:
    """Upload a new version of an existing asset, as `Client.update_content`."""
    from ferryman import arguments, transfer_calls
    from ferryman.handles import AsyncTransfer

    timeout_s = arguments.seconds(transfer_timeout_s, "transfer_timeout_s")
    upload = transfer_calls.Upload(
        local_path=local_path, asset=asset_id, message=message, chunk_size_mb=chunk_size_mb, priority=priority
    )
    info = await self._connection.run(await asyncio.to_thread(transfer_calls.create_upload, upload))
    transfer: AsyncTransfer[UploadResult] = AsyncTransfer(self._connection, info)
    return await transfer.wait(timeout_s, on_progress)


async def download(
    self: Connected,
    asset_id: AssetRef,
    dest_dir: StrPath,
    *,
    content_id: ContentRef | None = None,
    if_exists: str = "fail",
    include: str | Iterable[str] | None = None,
    on_progress: Callable[[ProgressEvent], object] | None = None,
    transfer_timeout_s: float | None = 3600,
    priority: int = 0,
) -> DownloadResult:
    """Download an asset's newest content into a directory, as `Client.download`."""
    from ferryman import arguments, transfer_calls
    from ferryman.handles import AsyncTransfer

    timeout_s = arguments.seconds(transfer_timeout_s, "transfer_timeout_s")
    call = await asyncio.to_thread(
        transfer_calls.create_download,
        asset_id,
        dest_dir,
        content_id=content_id,
        if_exists=if_exists,
        include=include,
        priority=priority,
    )
    transfer: AsyncTransfer[DownloadResult] = AsyncTransfer(self._connection, await self._connection.run(call))
    return await transfer.wait(timeout_s, on_progress)
