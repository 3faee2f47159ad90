"""The daemon as a systemd service of the user: where its unit lies, whom it serves, how it is started. Upload step 2.

Most machines have no unit, and that is found out by looking for one file. `ferry service` writes it, from here it is
only read.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ferrywire import paths

NAME: Final = "ferryd.service"
#: They decide where a daemon keeps things. The unit repeats those that were set when it was written.
PLACES: Final = (
    "FERRYMAN_SOCKET",
    "FERRYMAN_RUNTIME_DIR",
    "FERRYMAN_STATE_DIR",
    "FERRYMAN_CONFIG_DIR",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
)
#: The authorities that a hub's certificate is checked with. The unit repeats them too; they make no other daemon.
TRUST: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
#: A daemon of this environment alone: a service would not see them.
OWN: Final = ("FERRYMAN_HUB", "FERRYMAN_TOKEN")
#: What systemd tells the process it started, and nobody that process starts.
MANAGER: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM")


def unit_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the user's unit lies, or would lie."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else paths.home("XDG_CONFIG_HOME") / ".config") / "systemd" / "user" / NAME


def environment_lines(environ: Mapping[str, str] = os.environ, names: Sequence[str] = PLACES) -> list[str]:
    """The unit's lines that make the service live where a daemon started in this environment would."""
    return [f'Environment="{name}={_quoted(environ[name])}"' for name in names if environ.get(name)]


def serves(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a unit is installed whose daemon is the one that this environment asks for."""
    if any(environ.get(name) for name in OWN):
        return False
    try:
        text = unit_path(environ).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # OSError also for a user without a home
        return False
    starts = tuple(f'Environment="{name}=' for name in PLACES)
    lines = [line for line in text.splitlines() if line.startswith(starts)]
    return sorted(lines) == sorted(environment_lines(environ))


def start(timeout_s: float) -> bool:
    """Have systemd start the service; returns whether it did, once the daemon is ready. Never raises."""
    import shutil  # 5 ms with what it imports; most users have no service

    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return False
    try:
        done = subprocess.run(
            [systemctl, "--user", "--no-ask-password", "start", NAME],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=manager_environment(),
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def manager_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which `systemctl --user` finds its manager, also below cron and su."""
    found, usual = dict(environ), Path(f"/run/user/{os.getuid()}")
    with contextlib.suppress(OSError):
        if not found.get("XDG_RUNTIME_DIR") and usual.stat().st_uid == os.getuid():
            found["XDG_RUNTIME_DIR"] = str(usual)
    return found


def _quoted(value: str) -> str:
    """As systemd reads it between double quotes."""
    absolute = str(Path(value).absolute())
    return absolute.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
