"""ProjectService at the edge: parse, call the catalogue, convert. No decision and no SQL here."""

from __future__ import annotations

from typing import Any

from ferryapi.hub.v1 import project_service_pb2 as pb
from ferryhub.catalogue import projects
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import PageSeal
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller


class ProjectService:
    """Serves `ferryapi.hub.v1.ProjectService`. `quota_bytes` is what a new project may store."""

    def __init__(self, database: Database, pages: PageSeal, *, quota_bytes: int) -> None:
        self._database = database
        self._pages = pages
        self._quota_bytes = quota_bytes

    async def create_project(self, request: pb.CreateProjectRequest, _ctx: Any) -> pb.Project:
        """Creates a project with all it needs."""
        new = projects.NewProject(request.name, request.description, request.alias)
        row = await self._database.write(
            projects.create, caller(), new, quota_bytes=self._quota_bytes, request_id=request.request_id
        )
        return convert.project(row)

    async def get_project(self, request: pb.GetProjectRequest, _ctx: Any) -> pb.Project:
        """Gets a project."""
        return convert.project(await self._database.read(projects.get, caller(), request.project_id))

    async def list_projects(self, request: pb.ListProjectsRequest, _ctx: Any) -> pb.ListProjectsResponse:
        """Lists the caller's projects."""
        actor = caller()
        page = self._pages.page(request.page_size, request.page_token, actor, "ListProjects")
        rows, after = await self._database.read(projects.listing, actor, page)
        token = self._pages.token(after, actor, "ListProjects")
        return pb.ListProjectsResponse(projects=map(convert.project, rows), next_page_token=token)
