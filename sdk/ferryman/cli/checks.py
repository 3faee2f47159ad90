"""What `ferry doctor` looks at on this machine alone: directories, socket, space, service, clock, environment.

A check reports and changes nothing. What needs the daemon or the hub is in `remotechecks.py`.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ferryman import address, spawn, unit
from ferryman.cli import systemd, units
from ferrywire import paths

#: Less free space in the state directory than this is a warning; less than a tenth of it is a problem.
LOW_SPACE_BYTES: Final = 1 << 30
#: SQLite's locks are not dependable on these, and neither is the daemon's.
NETWORK_FILE_SYSTEMS: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs")
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: No clock that is right shows an earlier time.
_RELEASED: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    #: Good to know; nothing is wrong.
    NOTE = "note"
    #: It works, and may not for long.
    WARNING = "warning"
    #: Something does not work.
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `details` are the figures behind the message."""

    name: str
    verdict: Verdict
    message: str
    next_step: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def of_this_machine(environ: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Every check that needs nobody else."""
    yield from guarded("state directory", lambda: [directory("state", paths.state_dir(), private=True)])
    yield from guarded("runtime directory", lambda: [directory("runtime", paths.socket_path().parent, private=True)])
    yield from guarded("config directory", lambda: [directory("config", paths.config_dir(), private=False)])
    yield from guarded("socket", lambda: [socket_path()])
    yield from guarded("space", lambda: [space(paths.state_dir())])
    yield from guarded("clock", lambda: [clock(datetime.now(UTC))])
    yield from guarded("service", service)
    yield from guarded("proxy", lambda: [proxies(environ)])
    yield from guarded("variables", lambda: [variables(environ)])


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks, and an error they meet as one more: the doctor never stops half way."""
    try:
        yield from look()
    except OSError as error:  # with the cause and what to do in its words
        yield Check(name, Verdict.PROBLEM, str(error))
    except Exception as error:  # noqa: BLE001 - what cannot be looked at is a finding, and the rest still counts
        said = f"cannot be checked: {type(error).__name__}: {error}"
        yield Check(name, Verdict.PROBLEM, said, "Report it with this output.")


def directory(name: str, path: Path, *, private: bool) -> Check:
    """It is ours, closed to others where it must be, and writable; or it can be made."""
    title = f"{name} directory"
    where: dict[str, Any] = {"path": str(path), "file_system": file_system(path)}
    try:
        found = path.lstat()
    except FileNotFoundError:
        return _missing(title, path, where, _elsewhere(name), needed=private)
    except OSError as error:
        return Check(title, Verdict.PROBLEM, f"{path}: {error.strerror}", "Check the path and your rights.", where)
    mode = stat.S_IMODE(found.st_mode)
    where |= {"mode": f"{mode:04o}", "owner": found.st_uid}
    if not stat.S_ISDIR(found.st_mode) and not (path.is_dir() and not private):
        return Check(title, Verdict.PROBLEM, f"{path} is not a directory", f"Move it away: {path}", where)
    if found.st_uid != os.getuid():
        return Check(
            title, Verdict.PROBLEM, f"{path} belongs to user {found.st_uid}, not to you", _elsewhere(name), where
        )
    if private and mode & 0o077:
        return Check(title, Verdict.PROBLEM, f"{path} is open to others", f"Run: chmod 700 {path}", where)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Check(title, Verdict.PROBLEM, f"you cannot write to {path}", f"Run: chmod u+rwx {path}", where)
    if name == "state" and where["file_system"] in NETWORK_FILE_SYSTEMS:
        message = f"{path} is on a network file system ({where['file_system']}), where the queue's locks may fail"
        return Check(title, Verdict.WARNING, message, _elsewhere(name), where)
    return Check(title, Verdict.OK, str(path), "", where)


def _missing(title: str, path: Path, where: dict[str, Any], elsewhere: str, *, needed: bool) -> Check:
    parent = next(one for one in path.absolute().parents if one.exists())
    if not needed:
        return Check(title, Verdict.OK, f"{path} (none, and none is needed)", "", where)
    if not os.access(parent, os.W_OK | os.X_OK):
        message = f"{path} is not there, and you cannot make it in {parent}"
        return Check(title, Verdict.PROBLEM, message, elsewhere, where)
    return Check(title, Verdict.OK, f"{path} (made when it is needed)", "", where)


def _elsewhere(name: str) -> str:
    return f"Set FERRYMAN_{name.upper()}_DIR to a directory of yours on this machine."


def file_system(path: Path) -> str:
    """The kind of file system a path is on; empty where that is not known."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    whole = str(path.absolute())
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4].replace("\\040", " ")
        inside = whole == mount or whole.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind


def socket_path() -> Check:
    """It fits into a socket's address; the daemon listens there, or where another shell has started it."""
    path = paths.socket_path().absolute()
    size = len(os.fsencode(path))
    details: dict[str, Any] = {"path": str(path), "bytes": size}
    if size > paths.MAX_SOCKET_PATH_BYTES:
        message = f"the path {path} has {size} bytes and a socket's may have {paths.MAX_SOCKET_PATH_BYTES}"
        return Check("socket", Verdict.PROBLEM, message, "Set FERRYMAN_RUNTIME_DIR to a shorter directory.", details)
    if (used := address.resolve(None)) != path:
        message = f"{used}, of a daemon that another shell has started; from here it would be {path}"
        return Check("socket", Verdict.OK, message, "", details | {"path": str(used)})
    return Check("socket", Verdict.OK, str(path), "", details)


def space(state_dir: Path) -> Check:
    """There is room for the queue and, without a hub of one's own, for the data."""
    there = next(one for one in (state_dir.absolute(), *state_dir.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free
    inodes = os.statvfs(there)
    details = {"path": str(there), "free_bytes": free, "free_inodes": inodes.f_favail if inodes.f_files else None}
    message = f"{units.size(free)} free in {there}"
    if inodes.f_files and inodes.f_favail < 1000:
        message = f"{inodes.f_favail} files more can be made in {there}"
        return Check("space", Verdict.PROBLEM, message, "Delete files there, or set FERRYMAN_STATE_DIR.", details)
    if free < LOW_SPACE_BYTES:
        verdict = Verdict.WARNING if free >= LOW_SPACE_BYTES // 10 else Verdict.PROBLEM
        return Check("space", verdict, f"only {message}", "Free space there, or set FERRYMAN_STATE_DIR.", details)
    return Check("space", Verdict.OK, message, "", details)


def clock(now: datetime) -> Check:
    """It shows a time that can be."""
    details = {"time": now}
    if now < _RELEASED:
        message = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
        return Check("clock", Verdict.PROBLEM, message, "Set the clock, best by NTP: timedatectl set-ntp true", details)
    return Check("clock", Verdict.OK, f"{now:%Y-%m-%d %H:%M:%S} UTC", "", details)


def service() -> Iterator[Check]:
    """The unit, where one is installed, runs a program that is there; and whether it outlives the login."""
    path = unit.unit_path()
    if not path.is_file():
        message = "not installed; the daemon is started when it is needed"
        yield Check("service", Verdict.NOTE, message, "", {"installed": False, "unit": str(path)})
        return
    program = systemd.program(path.read_text(encoding="utf-8", errors="replace"))
    reason = systemd.why_not()
    found = systemd.unit_status() if not reason else systemd.UnitStatus()
    details = {"installed": True, "unit": str(path), "program": program, "active": found.active, "pid": found.pid}
    yield _service(program, reason, found, details)
    if not reason:
        yield _linger(systemd.linger())


def _service(program: str, reason: str, found: systemd.UnitStatus, details: dict[str, Any]) -> Check:
    again = "Run: ferry service install"
    if not os.access(program, os.X_OK):
        return Check("service", Verdict.PROBLEM, f"the service's program {program} is gone", again, details)
    if reason:
        return Check("service", Verdict.WARNING, f"installed, but {reason}", "Run: ferry service uninstall", details)
    if found.active == "failed":
        message = f"the service failed ({found.result}); {found.status}".rstrip("; ")
        return Check("service", Verdict.PROBLEM, message, "Run: ferry service logs", details)
    if found.active != "active":
        return Check("service", Verdict.WARNING, f"the service is {found.active}", again, details)
    return Check("service", Verdict.OK, f"runs as process {found.pid}", "", details)


def _linger(on: bool | None) -> Check:
    if on:
        return Check("linger", Verdict.OK, "on: transfers go on while you are logged out", "", {"linger": True})
    message = "off: transfers wait while you are logged out" if on is False else "not known on this machine"
    verdict = Verdict.WARNING if on is False else Verdict.NOTE
    return Check("linger", verdict, message, "Run: loginctl enable-linger", {"linger": on})


def proxies(environ: Mapping[str, str]) -> Check:
    """Which proxies programs here are told to use; the daemon uses none."""
    names = [name for upper in PROXIES for name in (upper, upper.lower())]
    found = {name: environ[name] for name in names if environ.get(name)}
    if not found:
        return Check("proxy", Verdict.OK, "none set")
    message = f"{', '.join(found)} set; the daemon uses no proxy and connects to the hub directly"
    return Check("proxy", Verdict.NOTE, message, "", {"variables": found})


def variables(environ: Mapping[str, str]) -> Check:
    """Which of our variables are set. A token is named, never shown."""
    found = {name: environ[name] for name in sorted(environ) if name.startswith("FERRYMAN_")}
    if "FERRYMAN_TOKEN" in found:
        found["FERRYMAN_TOKEN"] = "***"
    details = {"variables": found, "daemon_log": str(spawn.log_path())}
    if "FERRYMAN_TOKEN" in found and "FERRYMAN_HUB" not in found:
        message = "FERRYMAN_TOKEN is set without FERRYMAN_HUB, and is not used"
        return Check("variables", Verdict.WARNING, message, "Set FERRYMAN_HUB to the hub the token is of.", details)
    return Check("variables", Verdict.OK, ", ".join(found) or "none set", "", details)
