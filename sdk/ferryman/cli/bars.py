"""Live bars on a terminal, drawn by rich: one line per transfer, and the reason below one that does not move."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from ferryman.cli import describe, units
from ferryman.cli.feed import Forecast
from ferryman.cli.output import plain_letters, screen_size

if TYPE_CHECKING:
    from ferryman.progress import TransferInfo

#: Our styles in the words of rich.
LOOKS: Final = {"good": "green", "bad": "red", "wait": "yellow", "dim": "dim", "strong": "bold", "": ""}
_DRAW_EVERY_S: Final = 0.125


def text(line: describe.Line) -> Text:
    """A line as rich draws it: never wrapped, no markup in it."""
    return Text.assemble(*((piece, LOOKS.get(style, "")) for piece, style in line), no_wrap=True, overflow="crop")


class Bars:
    """The lines of the transfers that are waited for. Gone when it is left; the summary takes their place."""

    def __init__(self) -> None:
        self._ascii_only = plain_letters(sys.stderr)  # asked now: rich puts a stream of its own there
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._forecast = Forecast()
        self._latest: dict[str, TransferInfo] = {}
        self._drawn_s = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, info: TransferInfo) -> None:
        """There is news of a transfer."""
        self._latest[info.transfer_id] = info

    def tick(self) -> None:
        """Draw again, eight times a second at most; the width is asked for each time."""
        now_s = time.monotonic()
        if now_s - self._drawn_s < _DRAW_EVERY_S:
            return
        self._drawn_s = now_s
        self._console.size = ConsoleDimensions(*screen_size(sys.__stderr__))  # type: ignore[arg-type] # it is a terminal
        columns = max(10, self._console.width - 1)
        lines: list[describe.Line] = []
        for info in self._latest.values():
            eta_s = self._forecast.left_s(info, now_s)
            lines += describe.block(info, columns, units.utc_now(), eta_s, ascii_only=self._ascii_only)
        self._live.update(Group(*map(text, lines)), refresh=True)
