"""The process around a command: standard streams that may be closed, readers that leave, Ctrl-C.

No word is chosen here and nothing is known of commands.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


def prepare() -> None:
    """Make the standard streams usable, whatever this process was given.

    A closed one becomes /dev/null: the next file or socket to be opened would otherwise take its number, and get what
    is written there. A terminal that knows no █ is no reason to fail.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdin = sys.stdin or _opened(0, "r")
    sys.stdout = sys.stdout or _opened(1, "w")
    sys.stderr = sys.stderr or _opened(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _opened(number: int, mode: str) -> Any:
    return open(number, mode, encoding="utf-8", closefd=False)


@contextlib.contextmanager
def one_interrupt() -> Iterator[None]:
    """Within the block the first Ctrl-C raises KeyboardInterrupt, the second is let go by, the third ends the process.

    What the first one sets off takes a moment: the terminal is put right and the way back is told. A second one, of
    somebody impatient, must not cut that short, nor what Python still does after the block: after a first one, more
    are ignored until the process has ended, or it would die of one and its exit code with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in a script's background, or another's business
        yield
        return
    count = 0

    def interrupted(_number: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count == 1:
            raise KeyboardInterrupt
        if count > 2:
            os._exit(128 + signal.SIGINT)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if count else before)


def is_left(error: BaseException) -> bool:
    """Whether it says that nobody reads any longer what is written."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def silence() -> None:
    """Let what cannot be written go nowhere: its reader has gone, or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
