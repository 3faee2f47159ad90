"""Where words go: results to stdout, everything said to people to stderr, events to stdout with `--json`.

Knows streams and the common options; what the words are is made elsewhere.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TextIO

from ferryman.cli import events, faults, units
from ferryman.cli.exits import Exit
from ferryman.cli.settings import Settings

_STYLES = {"good": "32", "bad": "31", "wait": "33", "dim": "2", "strong": "1"}


class Output:
    """The streams of one command."""

    def __init__(self, settings: Settings) -> None:
        self.json = settings.json
        self.quiet = settings.quiet
        self.progress = not (settings.quiet or settings.no_progress or settings.json)

    def event(self, name: str, data: object) -> None:
        """An event, when they are asked for."""
        if self.json:
            _write(sys.stdout, events.line(name, data, units.utc_now()))

    def result(self, name: str, data: object, text: str | Iterable[str]) -> None:
        """What the command was called for: as an event or as text."""
        if self.json:
            self.event(name, data)
            return
        for line in [text] if isinstance(text, str) else text:
            _write(sys.stdout, line)

    def say(self, text: str) -> None:
        """A remark for people."""
        if not (self.quiet or self.json):
            _write(sys.stderr, text)

    def warn(self, text: str) -> None:
        """Something people must not miss, whatever was asked for."""
        _write(sys.stderr, f"ferry: {text}")

    def failed(self, error: BaseException) -> int:
        """Tell an error, its next step, and what it does to transfers; returns the exit code."""
        if isinstance(error, faults.Detached):
            return self._detached(error)
        fault = faults.explain(error)
        self.event("error", fault.data)
        self.warn(units.clean(str(fault)))
        return int(fault.exit_code)

    def refuse(self, message: str, next_step: str, exit_code: int) -> None:
        """Tell a mistake in the command line."""
        self.failed(faults.Problem(message, next_step, exit_code=Exit(exit_code)))

    def _detached(self, error: faults.Detached) -> int:
        ids = " ".join(error.transfer_ids)
        late = error.exit_code is Exit.STILL_QUEUED
        self.event("detached", {"transfer_ids": error.transfer_ids, "reason": "timeout" if late else "interrupted"})
        what = "Stopped waiting" if late else "Detached"
        several = len(error.transfer_ids) > 1
        goes_on = f"{len(error.transfer_ids)} transfers go on" if several else f"transfer {ids} goes on"
        _write(sys.stderr, f"{what}: {goes_on} in the background.")
        _write(sys.stderr, f"Look again:  ferry watch {ids}\nStop:        ferry cancel {ids}")
        if error.after:
            _write(sys.stderr, error.after)
        return int(error.exit_code)


def paint(text: str, style: str, stream: TextIO) -> str:
    """The text in a colour, where the stream is a terminal that shows colours and NO_COLOR is not set."""
    code = _STYLES.get(style, "")
    return f"\x1b[{code}m{text}\x1b[0m" if code and colourful(stream) else text


def colourful(stream: TextIO) -> bool:
    """Whether colours may be sent there."""
    return live(stream) and not os.environ.get("NO_COLOR")


def live(stream: TextIO) -> bool:
    """Whether it is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def width(stream: TextIO) -> int | None:
    """The columns of a terminal; None where nothing should be cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def screen_size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of a terminal as they are now, whatever the environment says they once were."""
    columns, rows = os.get_terminal_size(stream.fileno())
    return columns or 80, rows or 24  # a terminal that nobody told its size says 0


def plain_letters(stream: TextIO) -> bool:
    """Whether only ASCII can be shown there."""
    return "utf" not in (stream.encoding or "").lower()


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
