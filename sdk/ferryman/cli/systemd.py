"""systemd as `ferry service` and `ferry doctor` use it: the unit's text, `systemctl --user`, and who may linger.

Needs no root and asks for no password. Nothing is printed here.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ferryman
from ferryman import unit
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem

#: Starting waits for the daemon; a question is answered at once, or systemd hangs.
_TIMEOUT_S: Final = 90.0
_QUESTION_TIMEOUT_S: Final = 10.0
_QUESTIONS: Final = frozenset({"show", "show-environment", "show-user"})
#: What needs no quotes in ExecStart.
_PLAIN: Final = re.compile(r"[\w/.+@:-]+", re.ASCII)
#: What systemd allows in no program's name, but in its arguments.
_FORBIDDEN: Final = re.compile(r"""['"\\$]""")
_ENV: Final = "/usr/bin/env"
_FIRST_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_NOT_NEEDED: Final = (
    "You can do without: every command starts the daemon when none runs, and it goes on after the terminal is closed."
)


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """What systemd knows about the unit. Empty strings and 0 where it knows nothing."""

    active: str = ""
    sub: str = ""
    enabled: str = ""
    result: str = ""
    pid: int = 0
    restarts: int = 0
    status: str = ""


def template(name: str = unit.NAME) -> str:
    """A unit as it is shipped: in the installed package, or in the checkout this runs from."""
    package = Path(ferryman.__file__).parent
    for place in (package / "systemd", package.parents[1] / "systemd"):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8")
    raise Problem(f"the unit {name} is missing from this installation", "Install ferryman again.", exit_code=Exit.OTHER)


def render(command: list[str], environ: Mapping[str, str] = os.environ) -> str:
    """The user's unit: the shipped one, running this command, living where this environment says."""
    lines = []
    written = unit.environment_lines(environ, unit.PLACES + unit.TRUST)
    for line in template().splitlines():
        if line.startswith("ExecStart="):
            words = [*([_ENV] if _FORBIDDEN.search(command[0]) else []), *command, "run"]
            lines += [f"ExecStart={' '.join(map(_word, words))}", *written]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def program(text: str) -> str:
    """The program that a unit runs, an absolute path; empty when there is none in it."""
    for line in text.splitlines():
        if line.startswith("ExecStart="):
            value = line.removeprefix("ExecStart=")
            found = _FIRST_WORD.match(value.removeprefix(f"{_ENV} "))
            word = re.sub(r"\\(.)", r"\1", found[1] or found[2]) if found else ""
            return word.replace("%h", str(Path.home())).replace("%%", "%").replace("$$", "$")
    return ""


def why_not() -> str:
    """Why systemd manages no services of this user; empty when it does."""
    if shutil.which("systemctl") is None:
        return "this machine has no systemd (there is no systemctl)"
    done = systemctl("show-environment", check=False)
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip().splitlines() or ["systemctl --user does not answer"])[0]
    return f"systemd manages no services of yours here: {said}"


def demand() -> None:
    """Raise a `Problem` that explains it where systemd manages no services of this user."""
    if reason := why_not():
        raise Problem(reason, _NOT_NEEDED, exit_code=Exit.OTHER)


def systemctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `systemctl --user`. With `check` a failure is a `Problem` with systemd's own words."""
    command = ["systemctl", "--user", "--no-ask-password", "--no-pager", *arguments]
    done = _run(command)
    if check and done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        shown = " ".join(["systemctl --user", *arguments])
        raise Problem(f"{shown}: {said}", "Run: ferry service logs", exit_code=Exit.OTHER)
    return done


def unit_status() -> UnitStatus:
    """What systemd knows about the unit; all empty where there is no systemd."""
    names = ("ActiveState", "SubState", "UnitFileState", "Result", "MainPID", "NRestarts", "StatusText")
    done = systemctl("show", unit.NAME, f"--property={','.join(names)}", check=False)
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    pid, restarts = found.get("MainPID", ""), found.get("NRestarts", "")
    return UnitStatus(
        active=found.get("ActiveState", ""),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
        result=found.get("Result", ""),
        pid=int(pid) if pid.isdecimal() else 0,
        restarts=int(restarts) if restarts.isdecimal() else 0,
        status=found.get("StatusText", ""),
    )


def linger() -> bool | None:
    """Whether this user's services run without a login; None where that is not known."""
    done = _run(["loginctl", "--no-pager", "show-user", getpass.getuser(), "--property=Linger", "--value"])
    return {"yes": True, "no": False}.get(done.stdout.strip())


def write(path: Path, text: str) -> bool:
    """Write the unit, whole or not at all; returns whether it is another one than before."""
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)
    return True


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    timeout_s = _TIMEOUT_S if _QUESTIONS.isdisjoint(command) else _QUESTION_TIMEOUT_S
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=unit.manager_environment(),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} does not answer within {timeout_s:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _word(word: str) -> str:
    """A word of ExecStart."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if _PLAIN.fullmatch(word) else f'"{escaped}"'
