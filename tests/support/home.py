"""A home of its own for a test's daemon: directories, environment, and an end that leaves nothing running.

The path is short, because a socket's path holds 103 bytes and pytest's temporary directories do not leave room.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ferrywire import paths

#: How long a daemon may take to stop when asked, on a busy machine.
STOP_TIMEOUT_S = 60.0


@dataclass
class Home:
    """Where a test's daemon lives. `env` is for subprocesses; the fixture sets the same in this process."""

    root: Path
    #: A test that provokes an internal error says so; otherwise a traceback in the daemon's log fails the test.
    traceback_expected: bool = False
    extra_env: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    @property
    def runtime_dir(self) -> Path:
        return self.root / "run"

    @property
    def config_dir(self) -> Path:
        return self.root / "config"

    @property
    def socket(self) -> Path:
        return self.runtime_dir / paths.SOCKET_NAME

    @property
    def log(self) -> Path:
        return self.state_dir / paths.LOG_NAME

    @property
    def data(self) -> Path:
        """A directory for the test's own files."""
        (self.root / "data").mkdir(exist_ok=True)
        return self.root / "data"

    def directories(self) -> dict[str, str]:
        """The variables that make a program live here."""
        return {
            "FERRYMAN_STATE_DIR": str(self.state_dir),
            "FERRYMAN_CONFIG_DIR": str(self.config_dir),
            "FERRYMAN_RUNTIME_DIR": str(self.runtime_dir),
            "HOME": str(self.root),
        }

    @property
    def env(self) -> dict[str, str]:
        """A whole environment for a subprocess: nothing of ours from outside, everything that points here."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "XDG_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", os.defpath)])
        return {**outer, **self.directories(), "PATH": path, **self.extra_env}

    def daemons(self) -> list[psutil.Process]:
        """The daemons that live here, found by their environment, so that a lost socket hides none."""
        found = []
        for process in psutil.process_iter():
            try:
                lives_here = process.environ().get("FERRYMAN_STATE_DIR") == str(self.state_dir)
                if lives_here and process.pid != os.getpid() and _is_daemon(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue  # ended meanwhile, or somebody else's
        return found

    def kill_daemons(self) -> list[int]:
        """End them as a power cut would; returns their ids once they are gone."""
        victims = self.daemons()
        for process in victims:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(victims, timeout=STOP_TIMEOUT_S)
        return [process.pid for process in victims]

    def stop_daemons(self) -> list[int]:
        """End them as systemd would; returns the ids of those that did not listen and were killed."""
        asked = self.daemons()
        for process in asked:
            _signal(process, signal.SIGCONT)
            _signal(process, signal.SIGTERM)
        _, deaf = psutil.wait_procs(asked, timeout=STOP_TIMEOUT_S)
        for process in deaf:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(deaf, timeout=STOP_TIMEOUT_S)
        return [process.pid for process in deaf]

    def history(self, transfer_id: str) -> list[str]:
        """What has happened to a transfer, oldest first: the names of its events."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state_dir / 'queue.db'}?mode=ro", uri=True)) as queue:
            query = "SELECT event FROM transfer_events WHERE transfer_id = ? ORDER BY seq"
            return [event for (event,) in queue.execute(query, (transfer_id,))]

    def log_text(self) -> str:
        """What the daemons wrote. Empty when none ever did."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _is_daemon(command: list[str]) -> bool:
    words = [Path(word).name for word in command[:3]]
    return "ferryd" in words


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _make() -> Home:
    base = "/tmp" if os.access("/tmp", os.W_OK) else None
    home = Home(Path(tempfile.mkdtemp(prefix="fy", dir=base)).resolve())
    for directory in (home.state_dir, home.config_dir, home.runtime_dir):
        directory.mkdir(mode=0o700)
    return home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """An isolated home for one test. Afterwards its daemons stop by SIGTERM; a traceback in their log is a failure."""
    home = _make()
    for name in list(os.environ):
        if name.startswith(("FERRYMAN_", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    yield home
    deaf, log = home.stop_daemons(), home.log_text()
    shutil.rmtree(home.root, ignore_errors=True)
    assert not deaf, f"daemons {deaf} did not stop within {STOP_TIMEOUT_S:g} s of SIGTERM; log:\n{log[-4000:]}"
    if not home.traceback_expected:
        assert "Traceback (most recent call last)" not in log, f"the daemon logged a traceback:\n{log[-6000:]}"
