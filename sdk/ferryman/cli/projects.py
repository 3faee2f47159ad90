"""`ferry project`: create, list, get and share projects."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import owners, table, units
from ferryman.cli.output import width
from ferryman.cli.session import among, new_app, session_of

if TYPE_CHECKING:
    from ferryman.types import Project

app = new_app("Create, list, get and share projects.")

_ROLES = ("viewer", "editor", "owner")
Named = Annotated[str, typer.Argument(metavar="PROJECT", help="Its id, alias or name.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="An e-mail address or id; a group's or bot's name.")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; need not be unique.")],
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="A unique short name.")] = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is about.")] = "",
) -> None:
    """Create a project; you become its owner."""
    session = session_of(context)
    with session.client() as client:
        project = client.projects.create(name, alias=alias, description=description)
    session.out.result("project", project, [project.project_id] if session.out.quiet else _about(project))


@app.command("list")
def list_projects(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, newest first.")
    ] = 50,
) -> None:
    """List the projects you can see, newest first."""
    session = session_of(context)
    with session.client() as client:
        found = list(islice(client.projects.list(page_size=min(limit, 1_000)), limit))
    for project in found:
        session.out.event("project", project)
    if session.out.json or not found:
        session.out.say("There are no projects. Make one: ferry project create NAME")
        return
    rows = [(one.project_id, one.alias or "", units.size(one.default_allocation.used_bytes), one.name) for one in found]
    head = ("ID", "ALIAS", "USED", "NAME")
    session.out.result("", None, table.columns(head, rows, width=width(sys.stdout), flexible=(3, 1)))


@app.command()
def get(
    context: typer.Context,
    project: Named,
) -> None:
    """Show a project."""
    session = session_of(context)
    with session.client() as client:
        found = owners.find(client, project)
    session.out.result("project", found, _about(found))


@app.command()
def share(
    context: typer.Context,
    project: Named,
    person: Person,
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="viewer|editor|owner",
            autocompletion=among(*_ROLES),
            help="viewer reads, editor writes too, owner shares too.",
        ),
    ] = "viewer",
) -> None:
    """Give somebody a role in a project, in place of the one they have. Owners alone can."""
    session = session_of(context)
    with session.client() as client:
        given = client.grants.set(owners.find(client, project), person, role)
    session.out.result("grant", given, f"{given.email or given.principal_id}  {given.role}")


@app.command()
def members(context: typer.Context, project: Named) -> None:
    """List who has which role in a project."""
    session = session_of(context)
    with session.client() as client:
        found = list(client.grants.list(owners.find(client, project)))
    for one in found:
        session.out.event("grant", one)
    if session.out.json:
        return
    rows = [(one.principal_id, one.role, one.email) for one in found]
    session.out.result("", None, table.columns(("ID", "ROLE", "PERSON"), rows))


@app.command()
def unshare(context: typer.Context, project: Named, person: Person) -> None:
    """Take somebody's role in a project away.

    Nothing happens when they have none. Owners alone can.
    """
    session = session_of(context)
    with session.client() as client:
        found = owners.find(client, project)
        client.grants.remove(found, person)
    said = {"project_id": found.project_id, "person": person}
    session.out.result("unshared", said, f"{person} has no role in {found.project_id} now")


def _about(project: Project) -> list[str]:
    share = project.default_allocation
    return table.pairs(
        [
            ("project", project.project_id),
            ("name", project.name),
            ("alias", project.alias or ""),
            ("description", project.description),
            ("root", project.root_collection_id),
            ("used", f"{units.size(share.used_bytes)} of {units.size(share.quota_bytes)}"),
            ("created", units.moment(project.created_at)),
        ]
    )
