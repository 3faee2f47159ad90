"""A terminal for a test: `ferry` runs in a real pseudo-terminal, and what it draws is kept as a screen of letters."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

from tests.support.cli import COMMAND
from tests.support.waiting import wait_for


class Spawned(pexpect.spawn):  # type: ignore[misc]  # it has no types
    """`pexpect.spawn`, which closes nothing before it is the program: exec does, for all that Python and grpc open.

    For pexpect makes a fork of this process, and grpc's threads in there end it when they find their files closed
    (grpc/grpc#43055).
    """

    def _spawnpty(self, args: list[bytes], **how: Any) -> Any:
        return super()._spawnpty(args, pass_fds=range(3, 4096), **how)


class Terminal:
    """One command in a terminal of so many columns and rows."""

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24, env: dict[str, str] | None = None) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        #: Every byte that was sent to the terminal.
        self.sent = b""
        self._child = Spawned(
            COMMAND[0],
            [*COMMAND[1:], *arguments],
            dimensions=(rows, columns),
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """What is on the screen now, without empty lines."""
        self._read()
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait(self, condition: Callable[[str], object], what: str) -> str:
        """Wait until the screen is as wanted; returns its text."""
        try:
            wait_for(lambda: condition(self.text), what=what)
        except AssertionError:
            raise AssertionError(f"the screen never showed {what}:\n{self.text}") from None
        return self.text

    def type(self, keys: str) -> None:
        self._child.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self._read()
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def end(self) -> int:
        """Wait for the command's end; returns its exit code."""
        wait_for(lambda: self._read() or not self._child.isalive(), what="the command to end")
        self._read()
        self._child.close()
        assert self._child.exitstatus is not None, f"killed by signal {self._child.signalstatus}"
        return int(self._child.exitstatus)

    def _read(self) -> None:
        while True:
            try:
                data = self._child.read_nonblocking(65_536, timeout=0)
            except (pexpect.TIMEOUT, pexpect.EOF, ValueError):
                return
            self.sent += data
            self._stream.feed(data)
