"""`Client`: the calls that every user starts with, blocking, and the resources behind them. Upload step 1.

Importing this module is cheap on purpose: grpc and protobuf are imported when something is first asked for. `aio.py` is
the same client, awaited; the calls themselves are built by the resource modules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ferryman import moving

if TYPE_CHECKING:
    from types import TracebackType

    from ferryman.arguments import AssetRef
    from ferryman.assets import Assets
    from ferryman.auth import Auth
    from ferryman.collections import Collections
    from ferryman.contents import Contents
    from ferryman.contexts import Contexts
    from ferryman.daemon import Daemon
    from ferryman.grants import Grants
    from ferryman.projects import Projects
    from ferryman.relationships import Relationships
    from ferryman.reports import AuthStatus
    from ferryman.transfers import Transfers
    from ferryman.types import AssetMetadata, Project, Relationship


class Client:
    """Talks to this user's transfer daemon, and through it to the data hub. Blocking; safe to share between threads.

    Nothing happens until the first call (or `connect()`), which starts the daemon when none is running. The daemon
    outlives the client and goes on with its transfers. Safe to use in a forked child: it connects anew.

    Arguments:
        socket_path: the daemon's Unix socket; default FERRYMAN_SOCKET, else `$XDG_RUNTIME_DIR/ferryman/daemon.sock`,
            else `ferryman-<uid>/daemon.sock` in the temporary directory. Its directory must be yours alone (0700).
        binary_path: the `ferryd` program, used to start it; default the one on PATH or of this Python.
        auto_start: start the daemon when none answers; default True.
        start_timeout_s: how long it may take to start, in seconds; default 10.
        request_timeout_s: how long a request may take, in seconds; default 30. Transfers have their own.

    Every call may raise `ConnectionError` (the daemon cannot be reached, cannot be started, or went away),
    `DaemonTimeoutError` and `DaemonError` (see `.code`).

    Example:
        with Client() as client:
            project = client.create_project("Microscopy 2026")
            result = client.upload("run-7.h5", title="Run 7", owner_type="project", owner_id=project.project_id)
            client.download(result.asset_id, dest_dir="/tmp/downloads")
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
        from ferryman.channel import Connection
        from ferryman.spawn import Endpoint

        self._connection = Connection(
            Endpoint(socket_path, binary_path, auto_start, start_timeout_s), request_timeout_s
        )

    def connect(self) -> None:
        """Connect now, starting the daemon if need be, instead of at the first call. Allowed again after `close()`.

        Errors: `ConnectionError`, `DaemonTimeoutError` after `start_timeout_s`, `permission_denied` for a socket
        directory that others could write to.

        Example:
            client.connect()
        """
        self._connection.reopen()
        self._connection.open()

    def close(self) -> None:
        """Disconnect. The daemon and its transfers go on. Idempotent; later calls raise until `connect()`.

        Example:
            client.close()
        """
        self._connection.close()

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def auth_status(self) -> AuthStatus:
        """Get who the daemon is signed in as, and when the token expires.

        Error: `unauthenticated` when it is not signed in.

        Example:
            print(client.auth_status().user_email)
        """
        from ferryman.auth import auth_status_call

        return self._connection.run(auth_status_call())

    def create_project(self, name: str, *, description: str = "") -> Project:
        """Create a project with its root collection, your owner grant and its default allocation, all or nothing.

        `name` has 1 to 255 characters and need not be unique. Errors: `permission_denied`, `invalid_argument`.

        Example:
            project = client.create_project("My dataset project", description="Demo")
        """
        return self.projects.create(name, description=description)

    upload = moving.upload
    update_content = moving.update_content
    download = moving.download

    def get_metadata(self: moving.Connected, asset_id: AssetRef) -> AssetMetadata:
        """Get an asset's metadata by id, alias or result. Error: `not_found`.

        Example:
            client.get_metadata(result.asset_id).tags
        """
        from ferryman.assets import get_call

        return self._connection.run(get_call(asset_id))

    def set_metadata(self: moving.Connected, asset_id: AssetRef, **fields: Any) -> AssetMetadata:
        """Change the given metadata fields and no others; returns the new state. Contents are untouched.

        Fields: `title`, `description`, `alias`, `tags`, `metadata` (replaced whole). `None`, `""`, `[]` and `{}` clear.
        With `etag` the change is refused (`aborted`) when somebody else changed the asset since.

        Errors: `invalid_argument` for an unknown field or a value JSON cannot hold, `not_found`, `permission_denied`,
        `already_exists` for a taken alias, `aborted`.

        Example:
            client.set_metadata("raw-1", title="My dataset v2", tags=["csv", "demo"])
        """
        from ferryman.assets import update_call

        return self._connection.run(update_call(asset_id, fields))

    def create_relationship(
        self: moving.Connected,
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
        """Link a dependent asset to its origin. Needs write on the first and read on the second.

        Arguments:
            from_asset_id, to_asset_id: the dependent asset and its origin, by id, alias or result.
            rel_type: a verb such as `derived_from`, at most 255 characters: any you like, no list is kept, so a slip of
                the pen is a type of its own. `relationship_type` is another name for it.
            analysis_mode: `non_destructive`, `altering`, `destructive`, `in_situ`, `ex_situ`, `invasive` or
                `non_invasive`.
            qualifier_note, qualifier_time, qualifiers: a note, an ISO 8601 time, a JSON-serialisable dict.

        An exact duplicate returns the link that is there. Errors: `invalid_argument`, `not_found`, `permission_denied`.

        Example:
            client.create_relationship(result, raw, "analysis_of", analysis_mode="non_destructive")
        """
        from ferryman.relationships import create_call

        return self._connection.run(
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
    def projects(self) -> Projects:
        """Projects: create, get, list."""
        from ferryman.projects import Projects

        return Projects(self._connection)

    @property
    def collections(self) -> Collections:
        """Collections, the folders of a project: create, get, list."""
        from ferryman.collections import Collections

        return Collections(self._connection)

    @property
    def assets(self) -> Assets:
        """Assets: get, list, update, upload, download."""
        from ferryman.assets import Assets

        return Assets(self._connection)

    @property
    def contents(self) -> Contents:
        """Content versions: get, list, add."""
        from ferryman.contents import Contents

        return Contents(self._connection)

    @property
    def relationships(self) -> Relationships:
        """Provenance: create, list, delete, lineage."""
        from ferryman.relationships import Relationships

        return Relationships(self._connection)

    @property
    def grants(self) -> Grants:
        """Access: set, list, remove."""
        from ferryman.grants import Grants

        return Grants(self._connection)

    @property
    def transfers(self) -> Transfers:
        """Transfers without waiting: upload, download, get, list, watch, limits."""
        from ferryman.transfers import Transfers

        return Transfers(self._connection)

    @property
    def daemon(self) -> Daemon:
        """The daemon: info, statistics, drain, shutdown."""
        from ferryman.daemon import Daemon

        return Daemon(self._connection)

    @property
    def auth(self) -> Auth:
        """Signing in: status, login, logout."""
        from ferryman.auth import Auth

        return Auth(self._connection)

    @property
    def contexts(self) -> Contexts:
        """The hubs the daemon knows: list, use."""
        from ferryman.contexts import Contexts

        return Contexts(self._connection)
