"""`ferry watch`, `pause`, `resume`, `cancel` and `retry`: transfers by their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferryman.cli import describe, events, outcomes, waiting
from ferryman.cli.exits import Exit, code_for_all
from ferryman.cli.faults import Problem, explain
from ferryman.cli.session import Session, new_app, session_of
from ferryman.errors import ConnectionError as DaemonGone
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.progress import TransferInfo

app = new_app("Watch and control transfers.")

Ids = Annotated[list[str] | None, typer.Argument(metavar="TRANSFER", help="Ids of transfers; see ferry ls.")]
All = Annotated[bool, typer.Option("--all", help="All transfers that this can be done to.")]


@app.command()
def watch(context: typer.Context, transfers: Ids = None) -> None:
    """Wait for transfers and show their progress; all that have not ended, when none is named.

    Ctrl-C stops the watching, never the transfer.
    """
    session = session_of(context)
    with session.client() as client:
        ids = [client.transfers.get(one).id for one in transfers or []]
        ids = ids or [info.transfer_id for info in client.transfers.list(states=["queued", "running", "paused"])]
        if not ids:
            session.out.say("Nothing is being transferred. Look at:  ferry ls, ferry asset list")
            return
        raise typer.Exit(outcomes.tell(session, client, waiting.wait(session, client, ids)))


@app.command()
def pause(context: typer.Context, transfers: Ids = None, everything: All = False) -> None:
    """Pause transfers. What they have sent is kept."""
    _each(context, transfers, ["queued", "running"] if everything else [], lambda handle: handle.pause())


@app.command()
def resume(context: typer.Context, transfers: Ids = None, everything: All = False) -> None:
    """Continue paused or failed transfers where they stopped. --all means the paused ones."""
    _each(context, transfers, ["paused"] if everything else [], lambda handle: handle.resume())


@app.command()
def cancel(context: typer.Context, transfers: Ids = None) -> None:
    """Stop transfers for good and remove what was half done."""
    _each(context, transfers, [], lambda handle: handle.cancel())


@app.command()
def retry(context: typer.Context, transfers: Ids = None, everything: All = False) -> None:
    """Try failed transfers again, or waiting ones at once. --all means the failed ones."""
    _each(context, transfers, ["failed"] if everything else [], lambda handle: handle.retry())


def _each(
    context: typer.Context, named: list[str] | None, states: list[str], act: Callable[[Any], TransferInfo]
) -> None:
    """Do it to every transfer, whatever became of the ones before."""
    session = session_of(context)
    if bool(named) == bool(states):
        either = "" if context.command.name == "cancel" else ", or say --all"
        raise Problem(f"name transfers by their ids{either}", "Run: ferry ls")
    with session.client() as client:
        ids = named or [info.transfer_id for info in client.transfers.list(states=states)]
        raise typer.Exit(code_for_all([_one(session, client, one, act) for one in ids]))


def _one(session: Session, client: Client, transfer_id: str, act: Callable[[Any], TransferInfo]) -> Exit:
    try:
        info = act(client.transfers.get(transfer_id))
    except DaemonGone:
        raise
    except DaemonError as error:
        fault = explain(error)
        session.out.event("error", {**fault.data, "transfer_id": transfer_id})
        session.out.warn(str(fault))
        return fault.exit_code
    text = f"{info.transfer_id}  {describe.state(info)}  {describe.name(info)}"
    session.out.result("transfer", events.transfer(info), text)
    return Exit.OK
