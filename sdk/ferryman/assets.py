"""Assets: what a dataset is called and what is known about it. Catalogue calls, forwarded by the daemon.

Pure functions make the calls; the two classes run them. Moving an asset's bytes is in `transfers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from ferryapi.hub.v1 import asset_service_pb2 as pb
from ferryman import aio_moving, arguments, moving
from ferryman.aio import AsyncClient
from ferryman.call import Call, Listing
from ferryman.client import Client
from ferryman.convert import from_struct, moment, to_struct, word
from ferryman.errors import DaemonError
from ferryman.pages import AsyncPage, Page
from ferryman.types import AssetMetadata

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.AssetService/"
#: What `set_metadata` may change, and `etag`, which guards the change.
_FIELDS: Final = ("title", "description", "alias", "tags", "metadata")


def _parse(message: Any) -> AssetMetadata:
    return AssetMetadata(
        asset_id=message.asset_id,
        title=message.title,
        description=message.description,
        alias=message.alias or None,
        tags=list(message.tags),
        metadata=from_struct(message.metadata),
        owner_type=message.owner_type,
        owner_id=message.owner_id,
        collection_id=message.collection_id or None,
        state=word(message, "state"),
        latest_content_id=message.latest_content_id or None,
        size_bytes=message.size_bytes,
        file_count=message.file_count,
        created_at=moment(message, "create_time"),
        updated_at=moment(message, "update_time"),
        created_by=message.created_by,
        etag=message.etag,
    )


def get_call(asset: arguments.AssetRef) -> Call[AssetMetadata]:
    """The call of `get_metadata`."""
    request = pb.GetAssetRequest(asset_id=arguments.reference(asset, "asset_id", "asset_id"))
    return Call(f"{_SERVICE}GetAsset", request, pb.Asset, _parse)


def update_call(asset: arguments.AssetRef, fields: Mapping[str, Any]) -> Call[AssetMetadata]:
    """The call of `set_metadata`. With nothing to change it only reads."""
    for name in fields:
        if name not in (*_FIELDS, "etag"):
            message = f"set_metadata has no field {name!r}; it has {', '.join(_FIELDS)}, and etag"
            raise DaemonError("invalid_argument", message, reason="UNKNOWN_FIELD", metadata={"field": name})
    changed = [name for name in _FIELDS if name in fields]
    if not changed:
        return get_call(asset)
    values = pb.Asset(
        asset_id=arguments.reference(asset, "asset_id", "asset_id"),
        title=arguments.optional_text(fields.get("title"), "title"),
        description=arguments.optional_text(fields.get("description"), "description"),
        alias=arguments.optional_text(fields.get("alias"), "alias"),
        tags=arguments.texts(fields.get("tags"), "tags"),
        metadata=to_struct(fields.get("metadata"), "metadata"),
        etag=arguments.optional_text(fields.get("etag"), "etag"),
    )
    request = pb.UpdateAssetRequest(asset=values, update_mask=FieldMask(paths=changed))
    return Call(f"{_SERVICE}UpdateAsset", request, pb.Asset, _parse)


def _list(
    project: arguments.ProjectRef | None,
    collection: arguments.CollectionRef | None,
    page_size: int,
    page_token: str,
) -> Listing[AssetMetadata]:
    request = pb.ListAssetsRequest(
        project_id=arguments.reference(project, "project", "project_id") if project is not None else "",
        collection_id=arguments.reference(collection, "collection", "collection_id", "root_collection_id")
        if collection is not None
        else "",
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
    )
    return Listing(f"{_SERVICE}ListAssets", request, pb.ListAssetsResponse, "assets", _parse)


class Assets:
    """`client.assets`: get, list, update, upload and download assets.

    Example:
        for asset in client.assets.list(project=project):
            print(asset.title, asset.size_bytes)
    """

    get = Client.get_metadata
    update = Client.set_metadata
    upload = moving.upload
    download = moving.download

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        project: arguments.ProjectRef | None = None,
        collection: arguments.CollectionRef | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page[AssetMetadata]:
        """List the ready assets you can see, newest first; those of a project, or that live in a collection.

        `page_size` is how many are fetched at a time: 0 means 50, at most 1,000. Error: `not_found`.

        Example:
            titles = [asset.title for asset in client.assets.list(project="mic-26")]
        """
        return Page(self._connection, _list(project, collection, page_size, page_token))


class AsyncAssets:
    """`client.assets` of `AsyncClient`: as `Assets`, awaited.

    Example:
        async for asset in client.assets.list(project=project):
            print(asset.title, asset.size_bytes)
    """

    get = AsyncClient.get_metadata
    update = AsyncClient.set_metadata
    upload = aio_moving.upload
    download = aio_moving.download

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        project: arguments.ProjectRef | None = None,
        collection: arguments.CollectionRef | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> AsyncPage[AssetMetadata]:
        """List the ready assets you can see, as `Assets.list`; for `async for`."""
        return AsyncPage(self._connection, _list(project, collection, page_size, page_token))
