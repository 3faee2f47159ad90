"""`ferry collection`: create, list and get collections, the folders of a project."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import owners, table, units
from ferryman.cli.output import width
from ferryman.cli.session import new_app, session_of
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.types import Collection

app = new_app("Create, list and get collections, the folders of a project.")

Parent = Annotated[str, typer.Argument(metavar="PARENT", help="A collection's id or alias, or a project.")]


@app.command()
def create(
    context: typer.Context,
    parent: Parent,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique below its parent, without a /.")],
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="A unique short name.")] = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
) -> None:
    """Create a collection below another, or below a project's root."""
    session = session_of(context)
    with session.client() as client:
        made = client.collections.create(name, parent=_place(client, parent), alias=alias, description=description)
    session.out.result("collection", made, [made.collection_id] if session.out.quiet else _about(made))


@app.command("list")
def list_collections(
    context: typer.Context,
    parent: Parent,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, by name.")] = 100,
) -> None:
    """List the collections directly below a parent."""
    session = session_of(context)
    with session.client() as client:
        page = client.collections.list(_place(client, parent), page_size=min(limit, 1_000))
        found = list(islice(page, limit))
    for one in found:
        session.out.event("collection", one)
    if session.out.json or not found:
        session.out.say("There are no collections below it.")
        return
    rows = [(one.collection_id, one.alias or "", one.path) for one in found]
    session.out.result("", None, table.columns(("ID", "ALIAS", "PATH"), rows, width=width(sys.stdout), flexible=(2, 1)))


@app.command()
def get(
    context: typer.Context,
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Its id or alias.")],
) -> None:
    """Show a collection."""
    session = session_of(context)
    with session.client() as client:
        found = client.collections.get(collection)
    session.out.result("collection", found, _about(found))


def _place(client: Client, named: str) -> str:
    """The collection's id: of the collection itself, or of the root of a project by id, alias or name."""
    try:
        return client.collections.get(named).collection_id
    except DaemonError as error:
        if error.code not in ("not_found", "invalid_argument"):
            raise
    return owners.find(client, named).root_collection_id


def _about(collection: Collection) -> list[str]:
    return table.pairs(
        [
            ("collection", collection.collection_id),
            ("path", collection.path),
            ("alias", collection.alias or ""),
            ("description", collection.description),
            ("parent", collection.parent or ""),
            ("created", units.moment(collection.created_at)),
        ]
    )
