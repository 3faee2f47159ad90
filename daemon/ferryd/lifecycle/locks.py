"""The locks that make one daemon: flocks held for the process's whole life. Step 2, before the socket is touched.

grpcio silently takes over a live socket, and its old owner then unlinks the new one's; so nobody may bind without the
runtime lock. The state lock keeps two daemons with different sockets off one queue.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from pathlib import Path

from ferrywire import paths

_POLL_S = 0.02


class Busy(Exception):
    """Another daemon serves, on the socket given: the client should just connect."""


class Unsafe(Exception):
    """A directory or lock file is not ours alone; the message says which and what to do."""


def private_dir(path: Path, variable: str) -> None:
    """Make a directory 0700, or check that the one there is ours, real and closed to others.

    `variable` is the one that names another.
    """
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise Unsafe(f"{path} is not a directory of yours; remove it, or set {variable}")
    if info.st_mode & 0o077:
        raise Unsafe(f"{path} is open to others; run: chmod 700 {path}")


def take_runtime_lock(socket_path: Path, state_dir: Path, timeout_s: float) -> int:
    """Hold daemon.lock beside the socket and write there whose queue it is, for clients that ask for another.

    `Busy` at once when its holder serves; waits while the holder is leaving.
    """
    lock = _open(socket_path.parent / paths.LOCK_NAME)
    deadline = time.monotonic() + timeout_s
    while not _try_lock(lock):
        if answers(socket_path) or time.monotonic() > deadline:
            os.close(lock)
            raise Busy(socket_path)
        time.sleep(_POLL_S)
    _write(lock, state_dir)
    return lock


def take_state_lock(state_dir: Path, socket_path: Path, timeout_s: float) -> int:
    """Hold daemon.lock in the state directory and write there where we serve, for clients that look elsewhere.

    `Busy` at once when its holder serves on another socket. Waits while the holder is starting or leaving.
    """
    lock = _open(state_dir / paths.LOCK_NAME)
    deadline = time.monotonic() + timeout_s
    while not _try_lock(lock):
        holder = Path(os.fsdecode(os.pread(lock, 4096, 0)))
        if holder.is_absolute() and answers(holder) and not os.environ.get("FERRYMAN_SOCKET"):
            os.close(lock)
            raise Busy(holder)
        if time.monotonic() > deadline:
            os.close(lock)
            raise Unsafe(f"another daemon uses {state_dir}; stop it, or set FERRYMAN_STATE_DIR")
        time.sleep(_POLL_S)
    _write(lock, socket_path)
    return lock


def answers(socket_path: Path) -> bool:
    """Whether anybody accepts connections on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(socket_path))
        except OSError:
            return False
        return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write(lock: int, path: Path) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, os.fsencode(path), 0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
