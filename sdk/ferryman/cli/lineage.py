"""`ferry lineage`: what an asset came from, or what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import units
from ferryman.cli.session import among, new_app, session_of

if TYPE_CHECKING:
    from ferryman.types import Lineage

app = new_app("What an asset came from, or what came of it.")

_ARROWS = {"origins": "← ", "derived": "→ ", "both": "↔ "}


@app.command()
def lineage(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Its id or alias.")],
    direction: Annotated[
        str,
        typer.Option(
            "--direction",
            metavar="origins|derived|both",
            autocompletion=among("origins", "derived", "both"),
            help="What it came from, what came of it, or both.",
        ),
    ] = "origins",
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=0, max=100, help="How many links away; 0: the hub's limit.")
    ] = 0,
) -> None:
    """Show what an asset came from, nearest first, indented by how many links away.

    With --direction derived what came of it.
    """
    session = session_of(context)
    with session.client() as client:
        found = client.relationships.lineage(asset, direction=direction, max_depth=depth)
    session.out.result("lineage", found, _lines(found, _ARROWS.get(direction, "")))
    if found.truncated:
        session.out.say("There is more; a limit cut it off. Look further with --depth.")


def _lines(found: Lineage, arrow: str) -> list[str]:
    return [
        f"{'  ' * one.depth}{arrow if one.depth else ''}{one.asset_id}  {units.clean(one.title)}"
        for one in found.assets
    ]
