"""`ferry daemon`: stop the daemon. Nobody needs to start it: the first command does.

The service of systemd is in `service.py`; its daemon stops here as well, and the next command has systemd start it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import typer

from ferryman import address
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.session import new_app, session_of
from ferryman.errors import ConnectionError as DaemonGone

app = new_app("Stop the daemon; transfers go on with the next command.")

_STOP_S: Final = 30.0
_POLL_S: Final = 0.05


@app.callback()
def _group() -> None:
    """Makes `stop` a command of its own, though it is the only one."""


@app.command()
def stop(context: typer.Context) -> None:
    """Stop the daemon and wait until it answers no longer. Its transfers go on with the next command.

    Exit code 0 also when none runs.
    """
    session = session_of(context)
    pid = stop_running(address.resolve(None))
    said = f"Stopped the daemon (process {pid})." if pid else "No daemon runs."
    session.out.result("daemon_stopped", {"pid": pid}, said)


def stop_running(socket: Path, *, spare_pid: int = 0) -> int:
    """Have the daemon checkpoint its transfers and leave; returns its process id once it is gone, 0 when none runs or
    it is the one to spare."""
    from ferryman.client import Client

    if not address.answers(socket):
        return 0
    try:
        with Client(auto_start=False) as client:
            pid = client.daemon.info().pid
            if pid == spare_pid:
                return 0
            client.daemon.shutdown()
    except DaemonGone:  # it was just ending by itself
        if address.answers(socket):
            raise
        return 0
    deadline = time.monotonic() + _STOP_S
    while address.answers(socket):
        if time.monotonic() > deadline:
            raise Problem(f"the running daemon (process {pid}) does not stop", f"Run: kill {pid}", exit_code=Exit.OTHER)
        time.sleep(_POLL_S)
    return pid
