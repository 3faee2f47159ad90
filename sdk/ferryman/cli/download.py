"""`ferry download`: an asset's files into a directory. Upload step 1 the other way round, typed by a person."""

from __future__ import annotations

from typing import Annotated

import typer

from ferryman.cli import outcomes, waiting
from ferryman.cli.session import among, new_app, session_of

app = new_app("Download an asset.")


@app.command()
def download(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Its id or alias.")],
    directory: Annotated[str, typer.Argument(metavar="DEST", help="Where to; made when missing.")] = ".",
    content: Annotated[
        str | None, typer.Option("--content", metavar="VERSION", help="A certain version (ferry asset versions).")
    ] = None,
    if_exists: Annotated[
        str,
        typer.Option(
            "--if-exists",
            metavar="fail|skip|replace|rename",
            autocompletion=among("fail", "skip", "replace", "rename"),
            help="For a different file that is there.",
        ),
    ] = "fail",
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="PATTERN", help="Only these paths; repeatable.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", min=-100, max=100, help="Higher goes first.")] = 0,
) -> None:
    """Download an asset's files, and wait until they are written and verified.

    Prints where each file is. No file has its name before it is whole; one that has the right bytes is left alone.
    """
    session = session_of(context)
    with session.client() as client:
        known = client.get_metadata(asset)
        with session.queueing():
            transfer = client.transfers.download(
                known, directory, content_id=content, if_exists=if_exists, include=include, priority=priority
            )
        if session.settings.detach:
            session.out.say(f"The download goes on in the background. Look at it: ferry watch {transfer.id}")
            session.out.result("queued", {"transfer_id": transfer.id, "title": known.title}, transfer.id)
            return
        raise typer.Exit(outcomes.tell(session, client, waiting.wait(session, client, [transfer.id])))
