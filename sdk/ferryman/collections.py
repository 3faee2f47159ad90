"""Collections: the folders of a project's tree. Catalogue calls, forwarded by the daemon.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ferryapi.hub.v1 import collection_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call, Listing
from ferryman.convert import moment
from ferryman.pages import AsyncPage, Page
from ferryman.types import Collection

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.CollectionService/"


def _parse(message: Any) -> Collection:
    return Collection(
        collection_id=message.collection_id,
        name=message.name,
        alias=message.alias or None,
        parent=message.parent_id or None,
        path=message.path,
        owner_type=message.owner_type,
        owner_id=message.owner_id,
        description=message.description,
        created_at=moment(message, "create_time"),
    )


def _id(collection: arguments.CollectionRef, field: str) -> str:
    return arguments.reference(collection, field, "collection_id", "root_collection_id")


def _create(name: str, parent: arguments.CollectionRef, alias: str | None, description: str) -> Call[Collection]:
    request = pb.CreateCollectionRequest(
        name=arguments.text(name, "name"),
        parent_id=_id(parent, "parent"),
        alias=arguments.optional_text(alias, "alias"),
        description=arguments.optional_text(description, "description"),
        request_id=str(uuid.uuid4()),
    )
    return Call(f"{_SERVICE}CreateCollection", request, pb.Collection, _parse)


def _get(collection: arguments.CollectionRef) -> Call[Collection]:
    request = pb.GetCollectionRequest(collection_id=_id(collection, "collection"))
    return Call(f"{_SERVICE}GetCollection", request, pb.Collection, _parse)


def _list(parent: arguments.CollectionRef, page_size: int, page_token: str) -> Listing[Collection]:
    request = pb.ListCollectionsRequest(
        parent_id=_id(parent, "parent"),
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
    )
    return Listing(f"{_SERVICE}ListCollections", request, pb.ListCollectionsResponse, "collections", _parse)


class Collections:
    """`client.collections`: create, get and list folders. A project stands for its root collection.

    Example:
        raw = client.collections.create("raw", parent=project)
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, name: str, *, parent: arguments.CollectionRef, alias: str | None = None, description: str = ""
    ) -> Collection:
        """Create a collection below another. Needs write on the parent.

        `name` has 1 to 255 characters, no `/`, and is unique below its parent; `parent` is a collection, its id or
        alias, or a project for its root. Errors: `not_found`, `already_exists` for a taken name or alias,
        `permission_denied`.

        Example:
            client.collections.create("2026-03", parent=raw, alias="march")
        """
        return self._connection.run(_create(name, parent, alias, description))

    def get(self, collection: arguments.CollectionRef) -> Collection:
        """Get a collection by id or alias. Error: `not_found`.

        Example:
            client.collections.get(project.root_collection_id).parent is None
        """
        return self._connection.run(_get(collection))

    def list(self, parent: arguments.CollectionRef, *, page_size: int = 0, page_token: str = "") -> Page[Collection]:
        """List the collections directly below a parent, by name. Error: `not_found`.

        `page_size` is how many are fetched at a time: 0 means 50, at most 1,000.

        Example:
            [folder.name for folder in client.collections.list(project)]
        """
        return Page(self._connection, _list(parent, page_size, page_token))


class AsyncCollections:
    """`client.collections` of `AsyncClient`: as `Collections`, awaited.

    Example:
        raw = await client.collections.create("raw", parent=project)
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self, name: str, *, parent: arguments.CollectionRef, alias: str | None = None, description: str = ""
    ) -> Collection:
        """Create a collection below another, as `Collections.create`."""
        return await self._connection.run(_create(name, parent, alias, description))

    async def get(self, collection: arguments.CollectionRef) -> Collection:
        """Get a collection by id or alias, as `Collections.get`."""
        return await self._connection.run(_get(collection))

    def list(
        self, parent: arguments.CollectionRef, *, page_size: int = 0, page_token: str = ""
    ) -> AsyncPage[Collection]:
        """List the collections directly below a parent, as `Collections.list`; for `async for`."""
        return AsyncPage(self._connection, _list(parent, page_size, page_token))
