"""The real daemon and the real hub under a service manager: READY, WATCHDOG, STOPPING on the socket they were given."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.home import Home
from tests.support.notify import NotifySocket
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

WATCHDOG_S = 0.4
#: Where SQLite keeps its locks in a -shm file: the writer's, the checkpointer's, recovery's and five readers'.
WAL_LOCKS = (120, 8)


@contextmanager
def _service(command: list[str], home: Home, ear: NotifySocket) -> Iterator[subprocess.Popen[bytes]]:
    """A program as systemd starts it."""
    given = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)), "INVOCATION_ID": "test"}
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=home.env | given, stdout=log, stderr=log, cwd="/"
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def _locked_from_outside(database: Path) -> Iterator[None]:
    """Nobody else can begin to read or write the database."""
    with database.with_name(database.name + "-shm").open("r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, WAL_LOCKS[1], WAL_LOCKS[0])
        yield


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, home: Home) -> Iterator[NotifySocket]:
    address = home.root / "notify" if request.param == "path" else f"@ferryman-{home.root.name}"
    with NotifySocket(address) as ear:
        yield ear


@pytest.fixture
def path_ear(home: Home) -> Iterator[NotifySocket]:
    with NotifySocket(home.root / "notify") as ear:
        yield ear


def test_the_daemon_reports_its_life(home: Home, ear: NotifySocket) -> None:
    with _service(["ferryd", "run"], home, ear) as process:
        wait_for(lambda: ear.count("READY=1"), what="READY=1")
        with Client(auto_start=False) as client:  # ready means that calls are answered
            assert client.daemon.info().pid == process.pid
        wait_for(lambda: ear.count("WATCHDOG=1") >= 3, what="three WATCHDOG=1")
        assert "0 running" in ear.status
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    wait_for(lambda: ear.count("STOPPING=1"), what="STOPPING=1")
    assert ear.count("READY=1") == ear.count("STOPPING=1") == 1
    order = [text.splitlines()[0] for text in ear.said]
    assert order[0] == "READY=1"
    assert order[-1] == "STOPPING=1"


def test_a_queue_that_does_not_answer_starves_the_watchdog(home: Home, path_ear: NotifySocket) -> None:
    ear = path_ear
    with _service(["ferryd", "run"], home, ear):
        wait_for(lambda: ear.count("WATCHDOG=1"), what="WATCHDOG=1")
        with _locked_from_outside(home.state_dir / "queue.db"):
            assert ear.falls_silent(2 * WATCHDOG_S)  # systemd would have acted by now
            before = ear.count("WATCHDOG=1")
        wait_for(lambda: ear.count("WATCHDOG=1") > before, what="the watchdog to be fed again")


def test_an_event_loop_that_does_not_turn_starves_the_watchdog(home: Home, path_ear: NotifySocket) -> None:
    ear, blocked = path_ear, home.root / "blocked"
    (home.data / "sitecustomize.py").write_text(
        "import pathlib, signal, time\n"
        f"blocked = pathlib.Path({str(blocked)!r})\n"
        "def block(*_):\n"
        "    blocked.write_text('yes')\n"
        "    while blocked.exists(): time.sleep(0.01)\n"
        "signal.signal(signal.SIGUSR1, block)\n"
    )
    home.extra_env["PYTHONPATH"] = os.pathsep.join([str(home.data), os.environ.get("PYTHONPATH", "")])
    with _service(["ferryd", "run"], home, ear) as process:
        wait_for(lambda: ear.count("WATCHDOG=1"), what="WATCHDOG=1")
        process.send_signal(signal.SIGUSR1)
        wait_for(blocked.exists, what="the loop to be blocked")
        assert ear.falls_silent(2 * WATCHDOG_S)  # systemd would have acted by now
        before = ear.count("WATCHDOG=1")
        blocked.unlink()
        wait_for(lambda: ear.count("WATCHDOG=1") > before, what="the watchdog to be fed again")


def test_a_service_does_not_leave_when_idle(home: Home, path_ear: NotifySocket) -> None:
    (home.config_dir / "config.toml").write_text("idle_timeout_s = 0.1\n")
    with _service(["ferryd", "run"], home, path_ear) as process:
        wait_for(lambda: path_ear.count("WATCHDOG=1") >= 3, what="three WATCHDOG=1")
        assert process.poll() is None


def test_a_service_beside_a_daemon_started_by_hand_says_so(home: Home, path_ear: NotifySocket) -> None:
    with Client() as client:
        client.connect()
        with _service(["ferryd", "run"], home, path_ear) as process:
            assert process.wait(60) == 0
    wait_for(lambda: path_ear.said, what="a word")
    assert path_ear.status == f"another daemon, not this service, serves on {home.socket}; stop that one"
    assert not path_ear.count("READY=1")


def test_a_start_that_fails_says_why(home: Home, path_ear: NotifySocket) -> None:
    home.state_dir.chmod(0o755)
    with _service(["ferryd", "run"], home, path_ear) as process:
        assert process.wait(60) == 1
    wait_for(lambda: path_ear.said, what="a word")
    assert "chmod 700" in path_ear.status


def test_a_spawned_daemon_is_nobodys_service(
    home: Home, path_ear: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script in a service, or in a terminal that is one, hands its service manager's variables down."""
    for name, value in {"NOTIFY_SOCKET": path_ear.address, "INVOCATION_ID": "of-the-terminal"}.items():
        monkeypatch.setenv(name, value)
    with Client() as client:
        pid = client.daemon.info().pid
    given = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"NOTIFY_SOCKET=" not in given
    assert b"INVOCATION_ID=" not in given
    home.stop_daemons()
    assert path_ear.said == []


def test_the_hub_reports_its_life(home: Home, ear: NotifySocket) -> None:
    command = ["ferryhub", "serve", "--listen", "127.0.0.1:0", "--state-dir", str(home.root / "hub")]
    with _service(command, home, ear) as process:
        wait_for(lambda: ear.count("READY=1"), what="READY=1")
        assert "listening on http://127.0.0.1:" in ear.status
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    wait_for(lambda: ear.count("STOPPING=1") == 1, what="STOPPING=1")
