"""Waits for transfers and shows it: bars on a terminal, a line every 10 s elsewhere, events with `--json`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol

from ferryman.cli import describe, events, units
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Detached
from ferryman.cli.feed import Feed, Forecast
from ferryman.cli.output import Output, live
from ferryman.cli.session import Session

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.progress import TransferInfo

_TICK_S: Final = 0.1
#: Between two lines of one transfer where there is no terminal.
LINE_EVERY_S: Final = 10.0


class Display(Protocol):
    """Shows transfers while they are waited for."""

    def update(self, info: TransferInfo) -> None:
        """There is news of a transfer."""

    def tick(self) -> None:
        """Time has passed."""


class Lines:
    """One line of each unsettled transfer every ten seconds, and one when its state changes, for logs."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._forecast = Forecast()
        self._latest: dict[str, TransferInfo] = {}
        self._said: dict[str, tuple[float, str]] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, info: TransferInfo) -> None:
        self._latest[info.transfer_id] = info

    def tick(self) -> None:
        now_s = time.monotonic()
        for info in self._latest.values():
            eta_s = self._forecast.left_s(info, now_s)
            at_s, told = self._said.get(info.transfer_id, (now_s, info.state))
            news = f"{info.state} {info.waiting_for}" if not info.settled and info.waiting_for != "slot" else told
            due = now_s - at_s >= LINE_EVERY_S and not info.settled
            if info.transfer_id not in self._said or due or (news != told and info.waiting_for):
                self._out.say(describe.heartbeat(info, units.utc_now(), eta_s))
                at_s = now_s
            self._said[info.transfer_id] = (at_s, news)


class Events:
    """Every snapshot as a `transfer` event; with `--quiet` or `--no-progress` and no `--json`, nothing."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, info: TransferInfo) -> None:
        self._out.event("transfer", events.transfer(info))

    def tick(self) -> None:
        return


def _display(out: Output) -> AbstractContextManager[Display]:
    if not out.progress:
        return Events(out)
    if not live(sys.stderr):
        return Lines(out)
    from ferryman.cli.bars import Bars

    return Bars()


def wait(session: Session, client: Client, transfer_ids: Sequence[str], after: str = "") -> list[TransferInfo]:
    """Wait until the transfers have settled; returns how they stand, in the order of their ids.

    Raises `Detached` on Ctrl-C and when `--timeout` has passed: the transfers go on. `after` is what the person then
    has still to do.
    """
    ids = list(dict.fromkeys(transfer_ids))
    timeout_s = session.settings.timeout
    end_s = time.monotonic() + timeout_s if timeout_s else None
    latest: dict[str, TransferInfo] = {}
    try:
        with _display(session.out) as display:
            feed = Feed(client, ids)
            while not feed.ended:
                info = feed.take(_TICK_S)
                if info is not None:
                    latest[info.transfer_id] = info
                    display.update(info)
                display.tick()
                if end_s is not None and time.monotonic() >= end_s:
                    raise Detached(_unsettled(ids, latest), exit_code=Exit.STILL_QUEUED, after=after)
    except KeyboardInterrupt:
        raise Detached(_unsettled(ids, latest), exit_code=Exit.INTERRUPTED, after=after) from None
    return [latest[transfer_id] for transfer_id in ids]


def _unsettled(ids: Sequence[str], latest: dict[str, TransferInfo]) -> list[str]:
    return [one for one in ids if one not in latest or not latest[one].settled] or list(ids)
