"""Is a daemon listening, and may we trust its socket? Upload step 2, before anything is connected.

Whoever can write to the socket's directory could stand in for the daemon, so it must be ours alone. Nothing is started
here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from ferryman.errors import DaemonError, invalid
from ferrywire import paths

_PROBE_TIMEOUT_S: Final = 2.0
_SO_PEERCRED: Final[int | None] = getattr(socket, "SO_PEERCRED", None)


def resolve(socket_path: str | os.PathLike[str] | None) -> Path:
    """The absolute path of the socket: the given one, else FERRYMAN_SOCKET, else the default.

    Where nobody answers at the default and a daemon of the same state directory answers elsewhere, that one: it was
    started where XDG_RUNTIME_DIR or TMPDIR said something else, as they do for cron, su and batch jobs.
    """
    if socket_path is not None:
        return _checked(Path(socket_path).expanduser().absolute())
    path = _checked(paths.socket_path().absolute())
    if os.environ.get("FERRYMAN_SOCKET"):
        return path
    with contextlib.suppress(DaemonError):  # whoever uses the path is told
        if not answers(path) and (other := _recorded()) is not None and answers(other):
            return other
    return path


def _recorded() -> Path | None:
    """The socket that the holder of the state directory's lock has written into it. What nobody holds is stale."""
    try:
        with (paths.state_dir() / paths.LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = (paths.state_dir() / paths.LOCK_NAME).read_bytes()
        return Path(os.fsdecode(said)) if said.startswith(b"/") else None
    except OSError:
        pass
    return None


def require_state(path: Path) -> None:
    """Raise when the daemon at the socket `path` has another state directory than FERRYMAN_STATE_DIR asks for."""
    wanted = os.environ.get("FERRYMAN_STATE_DIR")
    if not wanted:
        return
    try:
        said = (path.parent / paths.LOCK_NAME).read_bytes()
    except OSError:
        return
    served = Path(os.fsdecode(said))
    if served.is_absolute() and not _same(Path(wanted).absolute(), served):
        raise invalid(
            "FERRYMAN_STATE_DIR",
            f"FERRYMAN_STATE_DIR is {wanted}, but the daemon that answers at {path} has its transfers and sign-ins in "
            f"{served}; set FERRYMAN_RUNTIME_DIR too, to a directory for the other daemon's socket",
        )


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _checked(path: Path) -> Path:
    size = len(os.fsencode(path))
    if size > paths.MAX_SOCKET_PATH_BYTES:
        raise invalid(
            "socket_path",
            f"the socket path {path} has {size} bytes and the system allows {paths.MAX_SOCKET_PATH_BYTES}; "
            "set FERRYMAN_RUNTIME_DIR or FERRYMAN_SOCKET to a shorter one",
        )
    return path


def make_directory(directory: Path) -> None:
    """Create the runtime directory, for us alone, unless it is there; then check it."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
    except OSError as error:
        raise _untrusted(
            directory,
            f"cannot create the runtime directory {directory}: {error.strerror}; set FERRYMAN_RUNTIME_DIR",
        ) from error
    check_directory(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _untrusted(
            directory, f"cannot write to the runtime directory {directory}; make it writable for your user"
        )


def check_directory(directory: Path) -> None:
    """Refuse a directory that is a link, not ours, or open to others. A missing one is fine."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _untrusted(
            directory, f"cannot look at {directory}: {error.strerror}; set FERRYMAN_RUNTIME_DIR"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise _untrusted(directory, f"{directory} must be a directory, not a link or a file; set FERRYMAN_RUNTIME_DIR")
    if found.st_uid != os.getuid():
        raise _untrusted(directory, f"{directory} belongs to user {found.st_uid}, not to you; set FERRYMAN_RUNTIME_DIR")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise _untrusted(directory, f"{directory} is open to other users (mode {mode:04o}); run: chmod 700 {directory}")


def answers(path: Path) -> bool:
    """Whether a daemon of ours listens at the socket. False for none and for a stale file; untrusted ones raise."""
    check_directory(path.parent)
    try:
        found = path.lstat()
    except OSError:
        return False
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise _untrusted(path, f"{path} is not a socket of yours; remove it, or set FERRYMAN_SOCKET")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except (TimeoutError, BlockingIOError):
            return True  # its backlog is full: alive, and busy
        except OSError:
            return False
        _check_peer(probe, path)
    return True


def _check_peer(probe: socket.socket, path: Path) -> None:
    if _SO_PEERCRED is None:
        return
    _, uid, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, struct.calcsize("3i")))
    if uid != os.getuid():
        raise _untrusted(path, f"the process at {path} runs as user {uid}, not as you; set FERRYMAN_SOCKET")


def _untrusted(path: Path, message: str) -> DaemonError:
    return DaemonError("permission_denied", message, metadata={"path": str(path)})
