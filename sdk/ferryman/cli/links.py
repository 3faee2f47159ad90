"""`ferry link`: say what an asset was made from, list that, take it back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ferryman.cli import fields, table, units
from ferryman.cli.output import width
from ferryman.cli.session import among, new_app, session_of

app = new_app("Say what an asset was made from.")

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="Its id or alias.")]


@app.command()
def create(
    context: typer.Context,
    asset: Asset,
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="What it was made from: id or alias.")],
    verb: Annotated[str, typer.Argument(metavar="TYPE", help="How: a verb, any you like.")] = "derived_from",
    mode: Annotated[
        str | None, typer.Option("--analysis-mode", metavar="MODE", help="non_destructive, altering, destructive, …")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A remark.")] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="TIME", help="When, as 2026-03-01T12:00:00Z.")] = None,
    qualifiers: Annotated[
        list[str] | None, typer.Option("--qualifier", metavar="KEY=VALUE", help="More about it; repeatable.")
    ] = None,
) -> None:
    """Link an asset to what it was made from. A link that is there already is left as it is."""
    session = session_of(context)
    with session.client() as client:
        link = client.create_relationship(
            asset,
            origin,
            verb,
            analysis_mode=mode,
            qualifier_note=note,
            qualifier_time=time,
            qualifiers=fields.parse(qualifiers or []) or None,
        )
    rows = [("link", link.relationship_id), ("from", link.from_asset_id), ("to", link.to_asset_id), ("type", link.type)]
    session.out.result("link", link, [link.relationship_id] if session.out.quiet else table.pairs(rows))


@app.command("list")
def list_links(
    context: typer.Context,
    asset: Asset,
    direction: Annotated[
        str,
        typer.Option(
            "--direction",
            metavar="in|out|both",
            autocompletion=among("in", "out", "both"),
            help="out: its origins; in: what was made of it.",
        ),
    ] = "both",
) -> None:
    """List the links of an asset, oldest first."""
    session = session_of(context)
    with session.client() as client:
        found = list(client.relationships.list(asset, direction=direction))
    for link in found:
        session.out.event("link", link)
    if session.out.json or not found:
        session.out.say("It has no links.")
        return
    rows = [
        (one.relationship_id, one.from_asset_id, one.type, one.to_asset_id, _other(one.related_asset)) for one in found
    ]
    head = ("ID", "ASSET", "TYPE", "ORIGIN", "THE OTHER")
    session.out.result("", None, table.columns(head, rows, width=width(sys.stdout), flexible=(4,)))


def _other(asset: dict[str, object] | None) -> str:
    return units.clean(str(asset["title"])) if asset else ""


@app.command()
def delete(
    context: typer.Context,
    links: Annotated[list[str], typer.Argument(metavar="LINK", help="Ids; see ferry link list.")],
) -> None:
    """Delete links. The assets stay."""
    session = session_of(context)
    with session.client() as client:
        for link in links:
            client.relationships.delete(link)
            session.out.result("deleted", {"relationship_id": link}, f"deleted {link}")
