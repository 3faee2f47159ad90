"""`ferry asset`: list and get assets and their versions."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import owners, table, units
from ferryman.cli.output import width
from ferryman.cli.session import Session, new_app, session_of

if TYPE_CHECKING:
    from ferryman.types import AssetMetadata

app = new_app("List and get assets and their versions.")

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="Its id or alias.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, newest first.")]


@app.command("list")
def list_assets(
    context: typer.Context,
    project: Annotated[
        str | None, typer.Option("--project", "-p", metavar="PROJECT", help="Of this project: id, alias or name.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", metavar="COLLECTION", help="In this collection: id, alias.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List the assets you can see, newest first."""
    session = session_of(context)
    with session.client() as client:
        owner = None if project is None else owners.find(client, project)
        page = client.assets.list(project=owner, collection=collection, page_size=min(limit, 1_000))
        found = list(islice(page, limit))
    tell(session, found, "There are no assets. Make one: ferry upload PATH")


@app.command()
def get(context: typer.Context, asset: Asset) -> None:
    """Show an asset."""
    session = session_of(context)
    with session.client() as client:
        found = client.assets.get(asset)
    session.out.result("asset", found, about(found))


@app.command()
def versions(context: typer.Context, asset: Asset, limit: Limit = 50) -> None:
    """List the versions of an asset, newest first."""
    session = session_of(context)
    with session.client() as client:
        found = list(islice(client.contents.list(asset, page_size=min(limit, 1_000)), limit))
    for one in found:
        session.out.event("version", one)
    if session.out.json:
        return
    rows = [
        (str(v.version), v.content_id, units.size(v.size_bytes), units.moment(v.created_at), v.digest, v.message)
        for v in found
    ]
    head = ("NO", "ID", "SIZE", "CREATED", "DIGEST", "MESSAGE")
    session.out.result("", None, table.columns(head, rows, width=width(sys.stdout), flexible=(5,)))


def tell(session: Session, found: Sequence[AssetMetadata], nothing: str) -> None:
    """Print assets as a table, or as events; `nothing` is said when there are none."""
    for one in found:
        session.out.event("asset", one)
    if session.out.json or not found:
        session.out.say(nothing)
        return
    rows = [
        (one.asset_id, one.alias or "", units.size(one.size_bytes), str(one.file_count), one.title) for one in found
    ]
    head = ("ID", "ALIAS", "SIZE", "FILES", "TITLE")
    session.out.result("", None, table.columns(head, rows, width=width(sys.stdout), flexible=(4, 1)))


def about(asset: AssetMetadata) -> list[str]:
    """An asset as names and values."""
    files = units.count(asset.file_count, "file")
    return table.pairs(
        [
            ("asset", asset.asset_id),
            ("title", asset.title),
            ("alias", asset.alias or ""),
            ("description", asset.description),
            ("tags", ", ".join(asset.tags)),
            ("owner", f"{asset.owner_type} {asset.owner_id}"),
            ("collection", asset.collection_id or ""),
            ("version", asset.latest_content_id or ""),
            ("size", f"{units.size(asset.size_bytes)} in {files}"),
            ("state", asset.state),
            ("created", units.moment(asset.created_at)),
            ("changed", units.moment(asset.updated_at)),
            *((f"meta.{key}", json.dumps(item, ensure_ascii=False)) for key, item in sorted(asset.metadata.items())),
        ]
    )
