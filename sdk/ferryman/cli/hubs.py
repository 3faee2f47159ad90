"""`ferry hub`: the hubs the daemon knows, and which one is used."""

from __future__ import annotations

from typing import Annotated

import typer

from ferryman.cli import table
from ferryman.cli.session import new_app, session_of

app = new_app("List the hubs you know, and choose one.")


@app.command("list")
def list_hubs(context: typer.Context) -> None:
    """List the hubs you know; the one in use has a *."""
    session = session_of(context)
    with session.client(known_context=False) as client:
        found = client.contexts.list()
    for one in found:
        session.out.event("hub", one)
    if session.out.json:
        return
    rows = [("*" if one.current else "", one.name, one.hub, one.user_email if one.signed_in else "") for one in found]
    session.out.result("", None, table.columns(("", "NAME", "HUB", "SIGNED IN AS"), rows))


@app.command()
def use(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A hub's name; see ferry hub list.")],
) -> None:
    """Use this hub from now on. Transfers that were begun stay with theirs."""
    session = session_of(context)
    with session.client(known_context=False) as client:
        chosen = client.contexts.use(name)
    session.out.result("hub", chosen, f"{chosen.name}  {chosen.hub}")
    if not chosen.signed_in:
        session.out.say(f"You are not signed in there. Run: ferry login {chosen.hub}")
