"""Projects: who owns data, and how much there may be. Catalogue calls, forwarded by the daemon.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ferryapi.hub.v1 import project_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call, Listing
from ferryman.convert import moment
from ferryman.pages import AsyncPage, Page
from ferryman.types import Allocation, Project

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.ProjectService/"


def _parse(message: Any) -> Project:
    share = message.default_allocation
    return Project(
        project_id=message.project_id,
        name=message.name,
        description=message.description,
        alias=message.alias or None,
        root_collection_id=message.root_collection_id,
        default_allocation=Allocation(share.allocation_id, share.storage_location, share.quota_bytes, share.used_bytes),
        created_at=moment(message, "create_time"),
        created_by=message.created_by,
    )


def _create(name: str, description: str, alias: str | None) -> Call[Project]:
    request = pb.CreateProjectRequest(
        name=arguments.text(name, "name"),
        description=arguments.optional_text(description, "description"),
        alias=arguments.optional_text(alias, "alias"),
        request_id=str(uuid.uuid4()),
    )
    return Call(f"{_SERVICE}CreateProject", request, pb.Project, _parse)


def _get(project: arguments.ProjectRef) -> Call[Project]:
    request = pb.GetProjectRequest(project_id=arguments.reference(project, "project", "project_id"))
    return Call(f"{_SERVICE}GetProject", request, pb.Project, _parse)


def _list(page_size: int, page_token: str) -> Listing[Project]:
    request = pb.ListProjectsRequest(
        page_size=arguments.page_size(page_size), page_token=arguments.text(page_token, "page_token")
    )
    return Listing(f"{_SERVICE}ListProjects", request, pb.ListProjectsResponse, "projects", _parse)


class Projects:
    """`client.projects`: create, get and list projects.

    Example:
        project = client.projects.create("Microscopy 2026", alias="mic-26")
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, *, description: str = "", alias: str | None = None) -> Project:
        """Create a project with its root collection, your owner grant and its default allocation, all or nothing.

        `name` has 1 to 255 characters and need not be unique; `alias` must be. Errors: `permission_denied`,
        `already_exists` for a taken alias, `invalid_argument`.

        Example:
            project = client.projects.create("Microscopy 2026", description="All of it")
        """
        return self._connection.run(_create(name, description, alias))

    def get(self, project: arguments.ProjectRef) -> Project:
        """Get a project by id or alias. Error: `not_found`.

        Example:
            client.projects.get("mic-26").default_allocation.used_bytes
        """
        return self._connection.run(_get(project))

    def list(self, *, page_size: int = 0, page_token: str = "") -> Page[Project]:
        """List the projects you can see, newest first, `page_size` at a time (0 means 50, at most 1,000).

        Error: `invalid_argument` for a page token that is not from this listing.

        Example:
            names = [project.name for project in client.projects.list()]
        """
        return Page(self._connection, _list(page_size, page_token))


class AsyncProjects:
    """`client.projects` of `AsyncClient`: as `Projects`, awaited.

    Example:
        project = await client.projects.create("Microscopy 2026")
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, name: str, *, description: str = "", alias: str | None = None) -> Project:
        """Create a project, as `Projects.create`."""
        return await self._connection.run(_create(name, description, alias))

    async def get(self, project: arguments.ProjectRef) -> Project:
        """Get a project by id or alias, as `Projects.get`."""
        return await self._connection.run(_get(project))

    def list(self, *, page_size: int = 0, page_token: str = "") -> AsyncPage[Project]:
        """List the projects you can see, as `Projects.list`; for `async for`."""
        return AsyncPage(self._connection, _list(page_size, page_token))
