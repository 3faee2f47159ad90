"""`ferry meta`: show and change an asset's metadata."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ferryman.cli import fields, units
from ferryman.cli.assets import about
from ferryman.cli.faults import Problem
from ferryman.cli.session import new_app, session_of

app = new_app("Get and change an asset's metadata.")

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="Its id or alias.")]


@app.command()
def get(context: typer.Context, asset: Asset) -> None:
    """Print an asset's metadata as one JSON object."""
    session = session_of(context)
    with session.client() as client:
        found = client.get_metadata(asset)
    text = json.dumps(found.metadata, ensure_ascii=False, indent=2, sort_keys=True)
    session.out.result("asset", found, [units.clean(line) for line in text.splitlines()])


@app.command("set")
def set_fields(
    context: typer.Context,
    asset: Asset,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Numbers, true, null, lists as JSON; else text.")
    ] = None,
    file: Annotated[str | None, typer.Option("--meta-file", metavar="FILE", help="A JSON object.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="Drop a key.")] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TITLE", help="A new title.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="A new alias; empty for none.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="These tags instead; repeatable.")
    ] = None,
) -> None:
    """Change metadata: the keys given, and no others. Refused when somebody else changed the asset meanwhile."""
    session = session_of(context)
    changes: dict[str, Any] = {"title": title, "alias": alias, "tags": tags}
    changes = {name: value for name, value in changes.items() if value is not None}
    given = fields.gather(pairs, file)
    if not (changes or given or remove):
        raise Problem("there is nothing to change", "Write it as: ferry meta set ASSET site=Oslo runs=3")
    with session.client() as client:
        known = client.get_metadata(asset)
        if given or remove:
            kept = {key: value for key, value in known.metadata.items() if key not in (remove or [])}
            changes["metadata"] = {**kept, **given}
        changed = client.set_metadata(known, **changes, etag=known.etag)
    session.out.result("asset", changed, about(changed))
