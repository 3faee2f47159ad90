"""A `systemctl --user` that knows one unit: starts what the installed unit says and waits for READY, as systemd does.

FAKE_SYSTEMD is a directory: `asked` holds a line a call, `pid` the service's process. `refuse` in it is why it fails.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

HOME = Path(os.environ["FAKE_SYSTEMD"])
UNIT = Path(os.environ["HOME"]) / ".config/systemd/user/ferryd.service"
LINK = UNIT.parent / "default.target.wants" / UNIT.name
QUOTED = re.compile(r'Environment="(\w+)=(.*)"')


def main(arguments: list[str]) -> int:
    words = [word for word in arguments if not word.startswith("--no-")]
    assert words.pop(0) == "--user"
    with (HOME / "asked").open("a") as asked:
        asked.write(" ".join(words) + "\n")
    refusal = HOME / "refuse"
    if refusal.exists():
        sys.stderr.write(refusal.read_text())
        return 1
    if words[0] == "show":
        return show()
    if words[0] in ("disable", "stop", "restart"):
        stop()
    if words[0] in ("enable", "start", "restart"):
        start()
    link(words[0])
    return 0


def link(verb: str) -> None:
    if verb == "enable" and not LINK.is_symlink():
        LINK.parent.mkdir(exist_ok=True)
        LINK.symlink_to(UNIT)
    if verb == "disable":
        LINK.unlink(missing_ok=True)


def start() -> None:
    if running():
        return
    lines = UNIT.read_text().splitlines()
    command = next(line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    given = dict(found.groups() for line in lines if (found := QUOTED.fullmatch(line)))
    base = {name: os.environ[name] for name in ("HOME", "PATH", "PYTHONPATH") if name in os.environ}
    ear = HOME / "notify"
    ear.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, (HOME / "journal").open("ab") as journal:
        listener.bind(str(ear))
        listener.settimeout(30)
        process = subprocess.Popen(
            shlex.split(command),
            env={**base, **given, "NOTIFY_SOCKET": str(ear), "INVOCATION_ID": "fake"},
            stdout=journal,
            stderr=journal,
            start_new_session=True,
        )
        (HOME / "pid").write_text(str(process.pid))
        while b"READY=1" not in listener.recv(4096):
            pass


def stop() -> None:
    if process := running():
        process.send_signal(signal.SIGTERM)
        psutil.wait_procs([process], timeout=20)
    (HOME / "pid").unlink(missing_ok=True)


def running() -> psutil.Process | None:
    pid = HOME / "pid"
    try:
        process = psutil.Process(int(pid.read_text()))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.Error):
        return None


def show() -> int:
    process = running()
    print(f"ActiveState={'active' if process else 'inactive'}\nSubState={'running' if process else 'dead'}")
    print(f"UnitFileState={'enabled' if LINK.is_symlink() else ''}\nResult=success\nNRestarts=0")
    print(f"MainPID={process.pid if process else 0}\nStatusText=fake")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
