"""`ferry top`: a live screen of all transfers. `q` or Ctrl-C leaves it; the transfers go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from ferryman.cli import describe, events, units
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.feed import Feed, Forecast
from ferryman.cli.output import Output, live, plain_letters, screen_size
from ferryman.cli.session import new_app, session_of

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.progress import TransferInfo

app = new_app("A live screen of all transfers.")

_DRAW_EVERY_S: Final = 0.25
_TICK_S: Final = 0.05
#: Transfers that ended longer ago are not shown.
_RECENT_S: Final = 600.0
_ORDER: Final = {"running": 0, "queued": 1, "paused": 2, "failed": 3}


@app.command()
def top(context: typer.Context) -> None:
    """Watch all transfers: phase, rate, time left, and why any of them waits. q leaves."""
    session = session_of(context)
    try:
        if session.out.json:
            with session.client() as client:
                _stream(session.out, client)
        if not (live(sys.stdout) and sys.stdin.isatty()):
            raise Problem("ferry top needs a terminal", "Use ferry ls, ferry watch, or ferry top --json.")
        with session.client() as client:
            _screen(client)
    except KeyboardInterrupt:  # the usual way out
        raise typer.Exit(Exit.INTERRUPTED) from None


def _stream(out: Output, client: Client) -> NoReturn:
    feed = Feed(client, [])
    while True:
        info = feed.take(1.0)
        if info is not None:
            out.event("transfer", events.transfer(info))


def _screen(client: Client) -> None:
    from rich.console import Console, ConsoleDimensions, Group
    from rich.live import Live

    from ferryman.cli.bars import text

    console, ascii_only = Console(highlight=False), plain_letters(sys.stdout)
    transfers: dict[str, TransferInfo] = {}
    forecast = Forecast()
    feed = Feed(client, [], interval_s=0.5)
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as screen:
        drawn_s = 0.0
        while "q" not in pressed():
            if (info := feed.take(_TICK_S)) is not None:
                transfers[info.transfer_id] = info
            now_s = time.monotonic()
            if now_s - drawn_s >= _DRAW_EVERY_S:
                drawn_s, console.size = now_s, ConsoleDimensions(*screen_size(sys.stdin))
                left = {one.transfer_id: forecast.left_s(one, now_s) for one in transfers.values()}
                columns, rows = console.size
                shown = page(
                    transfers.values(), left, columns=columns, rows=rows, now=units.utc_now(), ascii_only=ascii_only
                )
                screen.update(Group(*map(text, shown)), refresh=True)


def page(
    transfers: Iterable[TransferInfo],
    left_s: dict[str, float | None],
    *,
    columns: int,
    rows: int,
    now: datetime,
    ascii_only: bool = False,
) -> list[describe.Line]:
    """The lines of the screen, never more than it has rows: what moves first, then what waits, then what has ended."""
    shown = sorted((one for one in transfers if _current(one, now)), key=_place)
    lines = [describe.cut([(_heading(shown), "strong")], columns), [("", "")]]
    for index, info in enumerate(shown):
        block = describe.block(info, columns, now, left_s.get(info.transfer_id), ascii_only=ascii_only)
        more = len(shown) - index
        if len(lines) + len(block) > rows - 1 - (more > 1):
            lines.append(describe.cut([(f"… and {more} more; ferry ls shows all", "dim")], columns))
            break
        lines += block
    if not shown:
        lines.append(describe.cut([("Nothing is being transferred.", "dim")], columns))
    return [*lines[: rows - 1], describe.cut([("q quits; transfers go on", "dim")], columns)]


def _heading(shown: list[TransferInfo]) -> str:
    running = [one for one in shown if one.state == "running"]
    waiting = sum(not one.settled and one.state != "running" for one in shown)
    rate = units.rate(sum(one.rate_bps for one in running))
    return f"ferry  {len(running)} running  {waiting} waiting  {rate}"


def _current(info: TransferInfo, now: datetime) -> bool:
    ended = info.ended_at or info.updated_at
    return not info.settled or ended is None or (now - ended).total_seconds() < _RECENT_S


def _place(info: TransferInfo) -> tuple[int, int, str]:
    return _ORDER.get(info.state, 4), -info.priority, info.transfer_id


class _Keyboard:
    """What was typed since it was last asked."""

    def __call__(self) -> str:
        import os
        import select

        ready, _, _ = select.select([sys.stdin], [], [], 0)
        return os.read(sys.stdin.fileno(), 64).decode(errors="replace").lower() if ready else ""


@contextmanager
def _keys() -> Iterator[_Keyboard]:
    """The keyboard, letter by letter and not echoed, as long as the block lasts."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield _Keyboard()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
