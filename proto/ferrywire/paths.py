"""Where things are on this machine, for SDK and daemon alike. No file is created or opened here.

Durable and runtime directories differ on purpose: the queue and the tokens survive a reboot, the socket must not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

APP: Final = "ferryman"
SOCKET_NAME: Final = "daemon.sock"
#: In the runtime directory, where it holds the path of its holder's state directory; and in the state directory, where
#: it holds the path of its holder's socket.
LOCK_NAME: Final = "daemon.lock"
SPAWN_LOCK_NAME: Final = "spawn.lock"
LOG_NAME: Final = "daemon.log"
#: sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
MAX_SOCKET_PATH_BYTES: Final = 103


def runtime_dir() -> Path:
    """FERRYMAN_RUNTIME_DIR, else $XDG_RUNTIME_DIR/ferryman, else <tmp>/ferryman-<uid>. Holds socket and locks, 0700."""
    if override := os.environ.get("FERRYMAN_RUNTIME_DIR"):
        return Path(override)
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.access(base, os.W_OK):
        return Path(base) / APP
    import tempfile  # only where it is asked: 5 ms, of the few that the SDK has before it looks for a daemon

    return Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}"


def state_dir() -> Path:
    """FERRYMAN_STATE_DIR, else $XDG_STATE_HOME/ferryman, else ~/.local/state/ferryman. Holds queue and hub, 0700.

    `OSError` where there is no home directory, as in some containers.
    """
    return _home_dir("FERRYMAN_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def config_dir() -> Path:
    """FERRYMAN_CONFIG_DIR, else $XDG_CONFIG_HOME/ferryman, else ~/.config/ferryman. Holds config.toml."""
    return _home_dir("FERRYMAN_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")


def socket_path() -> Path:
    """FERRYMAN_SOCKET, else daemon.sock in the runtime directory."""
    override = os.environ.get("FERRYMAN_SOCKET")
    return Path(override) if override else runtime_dir() / SOCKET_NAME


def home(instead: str) -> Path:
    """The user's home directory. `OSError` where there is none; `instead` is the variable to set in its place."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise OSError(f"your user has no home directory; set HOME, or {instead}") from error


def _home_dir(override: str, xdg: str, default: str) -> Path:
    if value := os.environ.get(override):
        return Path(value)
    if value := os.environ.get(xdg):
        return Path(value) / APP
    return home(override) / default / APP
