"""Starts the daemon when none answers: one of many processes starts it, the others wait. Upload step 2.

A lock beside the socket picks the one; readiness comes over an inherited pipe, never from polling a file. Where the
user has installed the service (`unit.py`), systemd starts it. What is trusted is decided in `address.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ferryman import address, errors, unit
from ferryman.errors import timed_out, unreachable
from ferrywire import paths

#: Those who wait for another's daemon look more and more rarely: a crowd of them must leave it the processor.
_POLL_S: Final = 0.02
_POLL_MAX_S: Final = 0.1
_BUSY_PAUSE_S: Final = 0.1
_LOG_TAIL_BYTES: Final = 2_000
_ENVIRONMENT_PATHS: Final = (
    "FERRYMAN_SOCKET",
    "FERRYMAN_RUNTIME_DIR",
    "FERRYMAN_STATE_DIR",
    "FERRYMAN_CONFIG_DIR",
)


class Endpoint(NamedTuple):
    """Where the daemon listens and how to start it: the client's constructor arguments."""

    socket_path: str | os.PathLike[str] | None = None
    binary_path: str | os.PathLike[str] | None = None
    auto_start: bool = True
    start_timeout_s: float = 10.0


def ensure(endpoint: Endpoint, *, meanwhile: Callable[[], object] = lambda: None) -> Path:
    """Make sure that a daemon answers and return its socket. `meanwhile` is run once while a new one starts.

    Raises `ConnectionError` when there is none and none can be started, `DaemonTimeoutError` when it takes longer than
    `start_timeout_s`, `DaemonError` with code `permission_denied` for a directory or socket that others could control.
    """
    path = address.resolve(endpoint.socket_path)
    if address.answers(path):
        return path
    if not endpoint.auto_start:
        raise unreachable(path, f"no daemon answers at {path} and auto_start is off; start one with `ferryd run`")
    address.make_directory(path.parent)
    deadline = time.monotonic() + endpoint.start_timeout_s
    with _open_lock(path) as lock:
        pause_s = _POLL_S
        service = _is_service(endpoint)
        while not address.answers(path):
            if not _try_lock(lock):
                _check(deadline, f"another process holds {paths.SPAWN_LOCK_NAME} beside {path}, and no daemon came")
                time.sleep(pause_s * (0.5 + os.urandom(1)[0] / 512))  # a crowd must not poll in step
                pause_s = min(1.5 * pause_s, _POLL_MAX_S)
            elif service:
                service = False  # if systemd does not start it, we start one
                unit.start(endpoint.start_timeout_s / 2)
            elif not address.answers(path):  # the lock's last holder may have started one meanwhile
                _start(endpoint, path, deadline, meanwhile)
            path = address.resolve(endpoint.socket_path)  # a daemon of another shell may be quicker, elsewhere
    return path


def _is_service(endpoint: Endpoint) -> bool:
    return endpoint.socket_path is None and endpoint.binary_path is None and unit.serves()


@contextlib.contextmanager
def _open_lock(socket: Path) -> Iterator[int]:
    path = socket.parent / paths.SPAWN_LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unreachable(socket, f"cannot open the lock file {path}: {error.strerror}; remove it") from error
    try:
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(endpoint: Endpoint, path: Path, deadline: float, meanwhile: Callable[[], object]) -> None:
    """Start one daemon and wait for its word. Returns also when another daemon holds the lock: probe again."""
    _check(deadline, f"the daemon did not answer at {path}")
    ready, theirs = os.pipe()
    try:
        try:
            process = _spawn(endpoint, path, theirs)
        finally:
            os.close(theirs)
        # Reaped when it ends before us: no zombie, no ResourceWarning. Usually it outlives us.
        threading.Thread(target=process.wait, name="ferryd-reaper", daemon=True).start()
        meanwhile()
        word = _read_line(ready, deadline, f"the daemon at {path} was started (process {process.pid}) but is not ready")
    finally:
        os.close(ready)
    if word == "busy":
        time.sleep(_BUSY_PAUSE_S)  # it is starting or ending: its lock tells, its socket does not yet
    elif word != "ready":
        raise _refused(path, word)


def _spawn(endpoint: Endpoint, path: Path, ready_fd: int) -> subprocess.Popen[bytes]:
    command = [*find_binary(endpoint.binary_path, path), "run", "--ready-fd", str(ready_fd)]
    log = _open_log(path)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(ready_fd,),
            start_new_session=True,
            cwd="/",  # hold no directory of the caller's
            env=_environment(endpoint, path),
        )
    except OSError as error:
        raise unreachable(path, f"cannot start the daemon {command[0]}: {error.strerror}") from error
    finally:
        os.close(log)


def _environment(endpoint: Endpoint, path: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in unit.MANAGER}
    for name in _ENVIRONMENT_PATHS:  # it runs elsewhere: relative paths would mean something else there
        if environment.get(name):
            environment[name] = str(Path(environment[name]).absolute())
    if endpoint.socket_path is not None:
        environment["FERRYMAN_SOCKET"] = str(path)
    return environment


def find_binary(binary_path: str | os.PathLike[str] | None, socket: Path) -> list[str]:
    """The command that runs ferryd: the given program, else PATH, else beside this Python, else the module."""
    if binary_path is not None:
        program = Path(binary_path).expanduser().absolute()
        if not program.is_file():
            raise unreachable(socket, f"there is no program at binary_path {program}")
        if not os.access(program, os.X_OK):
            raise unreachable(
                socket, f"the program at binary_path {program} is not executable; run: chmod +x {program}"
            )
        return [str(program)]
    import shutil  # whoever finds a daemon needs neither
    from importlib.util import find_spec

    if found := shutil.which("ferryd"):
        return [str(Path(found).absolute())]
    beside = Path(sys.executable).parent / "ferryd"
    if os.access(beside, os.X_OK):
        return [str(beside)]
    if find_spec("ferryd") is not None:
        return [sys.executable, "-m", "ferryd"]
    raise unreachable(
        socket,
        "no daemon answers and ferryd is not installed; "
        'run: pip install "/path/to/ferryman[daemon]", or pass binary_path',
    )


def log_path() -> Path:
    """Where a started daemon writes what it says outside its own log."""
    return paths.state_dir() / paths.LOG_NAME


def _open_log(socket: Path) -> int:
    try:
        log = log_path()
    except OSError as error:
        raise unreachable(socket, str(error)) from error
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unreachable(
            socket, f"cannot open the daemon's log {log}: {error.strerror}; make it writable, or set FERRYMAN_STATE_DIR"
        ) from error


def _read_line(ready: int, deadline: float, late: str) -> str:
    """The line on the pipe without its end; empty when the daemon ended without one."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([ready], [], [], max(0.0, deadline - time.monotonic()))[0]:
            _check(deadline, late)
            continue
        piece = os.read(ready, 4096)
        if not piece:
            break
        line += piece
    return line.decode(errors="replace").strip()


def _refused(path: Path, word: str) -> errors.ConnectionError:
    said = (
        word.removeprefix("error").strip() if word else f"it ended without a word; the end of {log_path()}:\n{_tail()}"
    )
    return unreachable(path, f"the daemon could not start: {said}")


def _tail() -> str:
    try:
        with log_path().open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip() or "(empty)"
    except OSError:
        return "(cannot be read)"


def _check(deadline: float, message: str) -> None:
    if time.monotonic() > deadline:
        raise timed_out(f"{message} within start_timeout_s; see {log_path()}")
