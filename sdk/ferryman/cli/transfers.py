"""`ferry ls` and `ferry limit`: what transfers there are, and what they share."""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import describe, events, table, units
from ferryman.cli.output import paint, width
from ferryman.cli.session import among, new_app, session_of

if TYPE_CHECKING:
    from ferryman.progress import TransferInfo
    from ferryman.reports import Limits

app = new_app("List transfers and set their limits.")

_STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
_HEAD = ("ID", "STATE", "DONE", "SIZE", "RATE", "CREATED", "TITLE")
#: Below so many columns the table would be unreadable: each transfer gets two lines.
_NARROW = 90


@app.command("ls")
def list_transfers(
    context: typer.Context,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            autocompletion=among(*_STATES),
            help="queued, running, paused, succeeded, failed or cancelled.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many, newest first.")
    ] = 20,
) -> None:
    """List transfers, newest first: how far they are and what they wait for."""
    session = session_of(context)
    with session.client() as client:
        page = client.transfers.list(states=states or [], page_size=min(limit, 1_000))
        found = list(islice(page, limit))
        total = page.total_size or len(found)
    for info in found:
        session.out.event("transfer", events.transfer(info))
    if session.out.json:
        return
    if not found:
        session.out.say("There are no transfers." if not states else f"No transfer is {' or '.join(states)}.")
        return
    for line in listing(found, units.utc_now(), width(sys.stdout)):
        session.out.result("", None, _painted(line))
    if total > len(found):
        session.out.say(f"{len(found)} of {total}; more with --limit {total}")


def listing(found: list[TransferInfo], now: datetime, columns: int | None) -> list[str]:
    """The transfers as lines; what each waits for is below it."""
    if columns is not None and columns < _NARROW:
        return [line for info in found for line in _narrow(info, now)]
    rows = table.columns(_HEAD, [_row(info, now) for info in found], width=columns, flexible=(6,))
    lines = [rows[0]]
    for info, row in zip(found, rows[1:], strict=True):
        lines.append(row)
        if why := describe.reason(info, now):
            lines.append(f"  {why}")
    return lines


def _row(info: TransferInfo, now: datetime) -> tuple[str, ...]:
    rate = units.rate(info.rate_bps) if info.state == "running" and info.rate_bps else ""
    size = units.size(info.size_bytes) if info.size_bytes or info.settled else ""
    created = units.ago(info.created_at, now)
    return (info.transfer_id, describe.state(info), describe.percent(info), size, rate, created, describe.name(info))


def _narrow(info: TransferInfo, now: datetime) -> list[str]:
    row = _row(info, now)
    lines = [row[0], "  " + "  ".join(part for part in (row[1], row[2], row[3], row[6]) if part)]
    if why := describe.reason(info, now):
        lines.append(f"  {why}")
    return lines


def _painted(line: str) -> str:
    if line.startswith(("  failed", "  waiting", "  paused")):
        return paint(line, "bad" if line.startswith("  failed") else "wait", sys.stdout)
    return paint(line, "strong", sys.stdout) if line.startswith("ID  ") else line


@app.command()
def limit(
    context: typer.Context,
    bandwidth: Annotated[
        str | None, typer.Argument(metavar="RATE", help="20M, 1.5G, 800k (a second, binary), or off.")
    ] = None,
    running: Annotated[
        int | None, typer.Option("--transfers", metavar="N", min=1, max=64, help="How many transfers run at once.")
    ] = None,
    parts: Annotated[
        int | None, typer.Option("--parts", metavar="N", min=1, max=64, help="How many parts move at once.")
    ] = None,
) -> None:
    """Show the limits that all transfers share, or set them: at once, and remembered."""
    session = session_of(context)
    rate = None if bandwidth is None else units.parse_rate(bandwidth)
    with session.client() as client:
        if rate is None and running is None and parts is None:
            limits = client.transfers.limits()
        else:
            limits = client.transfers.set_limits(bandwidth_bps=rate, running_transfers=running, parts_in_flight=parts)
    session.out.result("limits", limits, table.pairs(_limits(limits)))


def _limits(limits: Limits) -> list[tuple[str, str]]:
    return [
        ("bandwidth", units.rate(limits.bandwidth_bps) if limits.bandwidth_bps else "unlimited"),
        ("transfers", f"{limits.running_transfers} at once"),
        ("parts", f"{limits.parts_in_flight} at once"),
    ]
