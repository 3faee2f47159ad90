"""`AsyncClient`: the same client as `client.py`, awaited. Upload step 1.

It differs in nothing but how a call is awaited; the calls themselves are built by the resource modules. Importing this
module is cheap on purpose: grpc and protobuf are imported when something is first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ferryman import aio_moving

if TYPE_CHECKING:
    from types import TracebackType

    from ferryman.arguments import AssetRef
    from ferryman.assets import AsyncAssets
    from ferryman.auth import AsyncAuth
    from ferryman.collections import AsyncCollections
    from ferryman.contents import AsyncContents
    from ferryman.contexts import AsyncContexts
    from ferryman.daemon import AsyncDaemon
    from ferryman.grants import AsyncGrants
    from ferryman.projects import AsyncProjects
    from ferryman.relationships import AsyncRelationships
    from ferryman.reports import AuthStatus
    from ferryman.transfers import AsyncTransfers
    from ferryman.types import AssetMetadata, Project, Relationship


class AsyncClient:
    """`Client`, awaited: the same arguments, calls, results and errors, for asyncio.

    Usable in any event loop. Starting the daemon never blocks the loop; cancelling a waiting task leaves its transfer
    running.

    Example:
        async with AsyncClient() as client:
            result = await client.upload("run-7.h5", title="Run 7", owner_type="project", owner_id="mic-26")
    """

    def __init__(
        self,
        *,
        socket_path: str | os.PathLike[str] | None = None,
        binary_path: str | os.PathLike[str] | None = None,
        auto_start: bool = True,
        start_timeout_s: float = 10.0,
        request_timeout_s: float = 30.0,
    ) -> None:
        from ferryman.aio_channel import AsyncConnection
        from ferryman.spawn import Endpoint

        self._connection = AsyncConnection(
            Endpoint(socket_path, binary_path, auto_start, start_timeout_s), request_timeout_s
        )

    async def connect(self) -> None:
        """Connect now, starting the daemon if need be, instead of at the first call, as `Client.connect`."""
        self._connection.reopen()
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect, as `Client.close`."""
        await self._connection.close()

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def auth_status(self) -> AuthStatus:
        """Get who the daemon is signed in as, and when the token expires, as `Client.auth_status`."""
        from ferryman.auth import auth_status_call

        return await self._connection.run(auth_status_call())

    async def create_project(self, name: str, *, description: str = "") -> Project:
        """Create a project, all or nothing, as `Client.create_project`."""
        project: Project = await self.projects.create(name, description=description)
        return project

    upload = aio_moving.upload
    update_content = aio_moving.update_content
    download = aio_moving.download

    async def get_metadata(self: aio_moving.Connected, asset_id: AssetRef) -> AssetMetadata:
        """Get an asset's metadata by id, alias or result, as `Client.get_metadata`."""
        from ferryman.assets import get_call

        return await self._connection.run(get_call(asset_id))

    async def set_metadata(self: aio_moving.Connected, asset_id: AssetRef, **fields: Any) -> AssetMetadata:
        """Change the given metadata fields and no others; returns the new state, as `Client.set_metadata`."""
        from ferryman.assets import update_call

        return await self._connection.run(update_call(asset_id, fields))

    async def create_relationship(
        self: aio_moving.Connected,
        from_asset_id: AssetRef,
        to_asset_id: AssetRef,
        rel_type: str | None = None,
        *,
        relationship_type: str | None = None,
        analysis_mode: str | None = None,
        qualifier_note: str | None = None,
        qualifier_time: str | datetime | None = None,
        qualifiers: Mapping[str, Any] | None = None,
    ) -> Relationship:
        """Link a dependent asset to its origin, as `Client.create_relationship`."""
        from ferryman.relationships import create_call

        return await self._connection.run(
            create_call(
                from_asset_id,
                to_asset_id,
                rel_type,
                relationship_type=relationship_type,
                analysis_mode=analysis_mode,
                qualifier_note=qualifier_note,
                qualifier_time=qualifier_time,
                qualifiers=qualifiers,
            )
        )

    @property
    def projects(self) -> AsyncProjects:
        """Projects: create, get, list."""
        from ferryman.projects import AsyncProjects

        return AsyncProjects(self._connection)

    @property
    def collections(self) -> AsyncCollections:
        """Collections, the folders of a project: create, get, list."""
        from ferryman.collections import AsyncCollections

        return AsyncCollections(self._connection)

    @property
    def assets(self) -> AsyncAssets:
        """Assets: get, list, update, upload, download."""
        from ferryman.assets import AsyncAssets

        return AsyncAssets(self._connection)

    @property
    def contents(self) -> AsyncContents:
        """Content versions: get, list, add."""
        from ferryman.contents import AsyncContents

        return AsyncContents(self._connection)

    @property
    def relationships(self) -> AsyncRelationships:
        """Provenance: create, list, delete, lineage."""
        from ferryman.relationships import AsyncRelationships

        return AsyncRelationships(self._connection)

    @property
    def grants(self) -> AsyncGrants:
        """Access: set, list, remove."""
        from ferryman.grants import AsyncGrants

        return AsyncGrants(self._connection)

    @property
    def transfers(self) -> AsyncTransfers:
        """Transfers without waiting: upload, download, get, list, watch, limits."""
        from ferryman.transfers import AsyncTransfers

        return AsyncTransfers(self._connection)

    @property
    def daemon(self) -> AsyncDaemon:
        """The daemon: info, statistics, drain, shutdown."""
        from ferryman.daemon import AsyncDaemon

        return AsyncDaemon(self._connection)

    @property
    def auth(self) -> AsyncAuth:
        """Signing in: status, login, logout."""
        from ferryman.auth import AsyncAuth

        return AsyncAuth(self._connection)

    @property
    def contexts(self) -> AsyncContexts:
        """The hubs the daemon knows: list, use."""
        from ferryman.contexts import AsyncContexts

        return AsyncContexts(self._connection)
