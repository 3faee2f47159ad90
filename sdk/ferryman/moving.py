"""Uploads and downloads that wait: `Client.upload`, `update_content` and `download`. Upload step 1.

Written as functions because the client and its resources share them: `client.assets.upload` is `client.upload`. Light
to import; `aio_moving.py` has the same, awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from ferryman.arguments import AssetRef, CollectionRef, ContentRef, ProjectRef, StrPath
    from ferryman.channel import Connection
    from ferryman.progress import DownloadResult, ProgressEvent, UploadResult


class _Required:
    """The default of an argument that only a version of an existing asset may leave out."""

    def __repr__(self) -> str:
        return "<required>"


REQUIRED: Final[Any] = _Required()


class Connected(Protocol):
    """What the functions below need of `self`: they are methods of the client and of its resources alike."""

    @property
    def _connection(self) -> Connection: ...


def upload(
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
    """Upload a file, a directory or several of them as one asset, and wait until it is stored and verified.

    Arguments:
        local_path: a file, a directory (its files keep their paths below it) or a list of both (each keeps its
            own name). Relative paths are taken from the current directory; `~` is expanded.
        title, owner_type, owner_id: what people call it, `"project"` or `"user"`, and whose it is. Required; not
            used with `asset`.
        description, alias, tags, metadata: free text, a unique short name, words to find it by, and a
            JSON-serialisable dict (integers up to 2**53). Not allowed with `asset`.
        collection_id: the collection it lives in; default the owner's root collection. Not allowed with `asset`.
        chunk_size_mb: the size of a part in MiB, 1 to 5,120; default 64.
        on_progress: called in this thread with events that never go backwards; the last is at 100 percent.
        transfer_timeout_s: how long to wait, in seconds; default 3600, None for ever.
        asset: an existing asset, to which this becomes a new version (as `update_content`). Bytes equal to its
            newest version give that version.
        message: a note kept with the version.
        priority: -100 to 100, higher first; default 0.
        include, exclude: patterns as in `.gitignore`, over the paths in the asset: only these files, and none of those.

    The transfer is durable and goes on in the daemon when this call ends early: on a timeout, on Ctrl-C, on an
    exception in `on_progress` (which comes out of this call). Nothing half-uploaded is ever visible.

    Errors: TypeError for a missing argument, `invalid_argument`, `not_found` (path, owner, collection),
    `already_exists` (alias), `permission_denied`, `failed_precondition` (the file changed meanwhile),
    `resource_exhausted` (quota, disk), `DaemonTimeoutError`, `ConnectionError`.

    Example:
        result = client.upload("data.csv", title="My dataset", owner_type="project", owner_id=project.project_id)
    """
    from ferryman import arguments, transfer_calls
    from ferryman.handles import Transfer

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
    info = self._connection.run(transfer_calls.create_upload(upload))
    transfer: Transfer[UploadResult] = Transfer(self._connection, info)
    return transfer.wait(timeout_s, on_progress)


def update_content(
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
    """Upload a new version of an existing asset, named by id, alias or result, and wait until it is stored.

    The other arguments are those of `upload`. Versions are immutable and numbered from 1; bytes equal to the newest
    version give that version and no new one.

    Errors: as `upload`; `not_found` for the asset.

    Example:
        client.update_content(result, "data-v2.csv", message="recalibrated")
    """
    from ferryman import arguments, transfer_calls
    from ferryman.handles import Transfer

    timeout_s = arguments.seconds(transfer_timeout_s, "transfer_timeout_s")
    upload = transfer_calls.Upload(
        local_path=local_path, asset=asset_id, message=message, chunk_size_mb=chunk_size_mb, priority=priority
    )
    info = self._connection.run(transfer_calls.create_upload(upload))
    transfer: Transfer[UploadResult] = Transfer(self._connection, info)
    return transfer.wait(timeout_s, on_progress)


def download(
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
    """Download an asset's newest content into a directory, and wait until it is written and verified.

    Arguments:
        asset_id: the asset, by id, alias or result.
        dest_dir: the directory, created when missing. Relative paths are taken from the current directory.
        content_id: a certain version instead of the newest.
        if_exists: for a file that is there already: `fail` (default; the right bytes count as done), `skip`,
            `replace` or `rename` (to `name (1).ext`).
        include: shell patterns over the asset's paths; default all files.
        on_progress, transfer_timeout_s, priority: as in `upload`.

    No file has its final name before it is whole and verified. The transfer goes on in the daemon when this call
    ends early, as in `upload`.

    Errors: `not_found`, `already_exists` (a different file is there), `permission_denied`, `resource_exhausted`
    (disk), `data_loss`, `DaemonTimeoutError`, `ConnectionError`.

    Example:
        for file in client.download("raw-1", "/tmp/downloads").files:
            print(file.local_path, file.size)
    """
    from ferryman import arguments, transfer_calls
    from ferryman.handles import Transfer

    timeout_s = arguments.seconds(transfer_timeout_s, "transfer_timeout_s")
    call = transfer_calls.create_download(
        asset_id, dest_dir, content_id=content_id, if_exists=if_exists, include=include, priority=priority
    )
    transfer: Transfer[DownloadResult] = Transfer(self._connection, self._connection.run(call))
    return transfer.wait(timeout_s, on_progress)
