"""`ferry service`: the daemon as a service of this user, so that it starts with the machine and is watched over.

Nobody needs it: without it the first command starts the daemon. Never asks for root.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ferryman import address, spawn, unit
from ferryman.cli import systemd
from ferryman.cli.daemon import stop_running
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.output import Output
from ferryman.cli.session import new_app, session_of

app = new_app("Run the daemon as a service of yours (systemd).")


@app.command()
def install(context: typer.Context) -> None:
    """Install and start the service. Transfers that are running go on in it."""
    out = session_of(context).out
    systemd.demand()
    path, socket = unit.unit_path(), address.resolve(None)
    changed = systemd.write(path, systemd.render(spawn.find_binary(None, socket)))
    systemd.systemctl("daemon-reload")
    known = systemd.unit_status()
    stop_running(socket, spare_pid=known.pid)  # one that is not the service leaves, so that the service takes over
    if changed and known.active == "active":
        systemd.systemctl("restart", unit.NAME)
    systemd.systemctl("enable", "--now", unit.NAME)
    out.result("service", _facts(path), [f"The service runs: {path}"])
    _warn_of_environment(out, os.environ)
    for line in linger_lines(systemd.linger()):
        out.say(line)


@app.command()
def status(context: typer.Context) -> int:
    """Show whether the service is installed and runs. Exit code 0 when it runs, 1 when not."""
    out = session_of(context).out
    facts = _facts(unit.unit_path())
    out.result("service", facts, _lines(facts))
    return Exit.OK if facts["active"] == "active" else Exit.OTHER


@app.command()
def logs(
    context: typer.Context,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="So many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
) -> None:
    """Show the log: the service's journal, or daemon.log of a daemon that runs without it."""
    more = ["--follow"] if follow else []
    if unit.unit_path().is_file() and shutil.which("journalctl"):
        form = ["--output=json"] if session_of(context).settings.json else []
        command = ["journalctl", "--user", "--no-pager", f"--unit={unit.NAME}", f"--lines={lines}", *form, *more]
    elif spawn.log_path().is_file():
        command = ["tail", "-n", str(lines), *(["-f"] if follow else []), str(spawn.log_path())]
    else:
        raise Problem(f"there is no log yet: {spawn.log_path()}", "Run: ferry doctor", exit_code=Exit.NOT_FOUND)
    os.execvp(command[0], command)  # Ctrl-C and the pager's end are its own


@app.command()
def uninstall(context: typer.Context) -> None:
    """Stop and remove the service. The queue stays; the next command starts a daemon, which goes on."""
    out = session_of(context).out
    path = unit.unit_path()
    if not path.is_file():
        out.result("service", _facts(path), "There is no service to remove.")
        return
    reason = systemd.why_not()
    if not reason:
        systemd.systemctl("disable", "--now", unit.NAME)
    path.unlink()
    (path.parent / "default.target.wants" / path.name).unlink(missing_ok=True)
    if not reason:
        systemd.systemctl("daemon-reload")
    out.result("service", _facts(path), f"Removed {path}. Queued transfers go on with the next command.")


def linger_lines(linger: bool | None) -> list[str]:
    """What to tell about logging out."""
    if linger:
        return ["It runs from the start of the machine, also while you are logged out (linger is on)."]
    known = "Linger is off:" if linger is False else "Whether linger is on is not known here. Without it"
    return [
        f"{known} systemd stops your services when you log out, and transfers wait until you log in again.",
        f"To let them go on:  loginctl enable-linger {getpass.getuser()}",
        "Some sites allow that to administrators only; ask them for it with this line.",
    ]


def _warn_of_environment(out: Output, environ: Mapping[str, str]) -> None:
    if seen := [name for name in unit.OWN if environ.get(name)]:
        out.warn(
            f"the service does not see {' and '.join(seen)} of this shell and keeps no copy; sign in with: ferry login"
        )


def _facts(path: Path) -> dict[str, Any]:
    installed = path.is_file()
    running = asdict(systemd.unit_status()) if shutil.which("systemctl") else asdict(systemd.UnitStatus())
    return {"installed": installed, "unit": str(path), **running, "linger": systemd.linger()}


def _lines(facts: Mapping[str, Any]) -> list[str]:
    if not facts["installed"]:
        return ["The service is not installed. To install it:  ferry service install"]
    state = f"{facts['active'] or 'unknown'} ({facts['sub']})" if facts["sub"] else facts["active"] or "unknown"
    shown = [("unit", facts["unit"]), ("state", state), ("says", facts["status"]), ("start", facts["enabled"])]
    shown += [("process", facts["pid"] or ""), ("restarts", facts["restarts"] or "")]
    shown += [("linger", {True: "on", False: "off", None: "not known"}[facts["linger"]])]
    return [f"{name:9} {value}" for name, value in shown if value != ""]
