"""Contents: the immutable versions of an asset's bytes. Catalogue calls; adding one is an upload (step 1).

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryman import aio_moving, arguments, moving
from ferryman.call import Call, Listing
from ferryman.convert import moment
from ferryman.pages import AsyncPage, Page
from ferryman.types import Content

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.ContentService/"


def _parse(message: Any) -> Content:
    return Content(
        content_id=message.content_id,
        asset_id=message.asset_id,
        version=message.version,
        digest=message.digest,
        size_bytes=message.size_bytes,
        file_count=message.file_count,
        message=message.message,
        created_at=moment(message, "create_time"),
        created_by=message.created_by,
    )


def _get(content: arguments.ContentRef) -> Call[Content]:
    request = pb.GetContentRequest(content_id=arguments.reference(content, "content", "content_id"))
    return Call(f"{_SERVICE}GetContent", request, pb.Content, _parse)


def _list(asset: arguments.AssetRef, page_size: int, page_token: str) -> Listing[Content]:
    request = pb.ListContentsRequest(
        asset_id=arguments.reference(asset, "asset", "asset_id"),
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
    )
    return Listing(f"{_SERVICE}ListContents", request, pb.ListContentsResponse, "contents", _parse)


class Contents:
    """`client.contents`: list, get and add versions of an asset.

    Example:
        newest = client.contents.list(asset)[0]
    """

    add = moving.update_content

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, content: arguments.ContentRef) -> Content:
        """Get a content version by id. Error: `not_found`.

        Example:
            client.contents.get(result).version
        """
        return self._connection.run(_get(content))

    def list(self, asset: arguments.AssetRef, *, page_size: int = 0, page_token: str = "") -> Page[Content]:
        """List the content versions of an asset, newest first. Error: `not_found`.

        `page_size` is how many are fetched at a time: 0 means 50, at most 1,000.

        Example:
            versions = [content.version for content in client.contents.list("raw-1")]
        """
        return Page(self._connection, _list(asset, page_size, page_token))


class AsyncContents:
    """`client.contents` of `AsyncClient`: as `Contents`, awaited.

    Example:
        async for content in client.contents.list(asset):
            print(content.version)
    """

    add = aio_moving.update_content

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, content: arguments.ContentRef) -> Content:
        """Get a content version by id, as `Contents.get`."""
        return await self._connection.run(_get(content))

    def list(self, asset: arguments.AssetRef, *, page_size: int = 0, page_token: str = "") -> AsyncPage[Content]:
        """List the content versions of an asset, as `Contents.list`; for `async for`."""
        return AsyncPage(self._connection, _list(asset, page_size, page_token))
