"""`ferry service` where systemd answers (a stand-in that starts what the unit says) and where it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ferryman import Client
from ferryman.cli import systemd as systemd_of_ferry
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

FAKE = Path(__file__).resolve().parents[1] / "support" / "fake_systemctl.py"


class Systemd:
    """The stand-in's directory."""

    def __init__(self, home: Home) -> None:
        self.root = home.root / "systemd"
        self.programs = home.root / "bin"
        for directory in (self.root, self.programs):
            directory.mkdir()
        self.program("systemctl", f'exec {sys.executable} {FAKE} "$@"')
        self.set_linger("no")
        self.unit = home.root / ".config/systemd/user/ferryd.service"

    def program(self, name: str, body: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def set_linger(self, value: str) -> None:
        self.program("loginctl", f"echo {value}")

    @property
    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def pid(self) -> int:
        return int((self.root / "pid").read_text())


@pytest.fixture
def systemd(home: Home, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    systemd = Systemd(home)
    monkeypatch.setenv("FAKE_SYSTEMD", str(systemd.root))
    monkeypatch.setenv("PATH", f"{systemd.programs}{os.pathsep}{os.environ['PATH']}")
    return systemd


def ferry(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ferryman.cli", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_running_daemon_hands_its_transfers_to_the_service(home: Home, systemd: Systemd) -> None:
    source = make_file(home.data / "big", 8 * MIB)
    with Client() as client:
        project = client.create_project("Service").project_id
        client.transfers.set_limits(bandwidth_bps=MIB)
        transfer = client.transfers.upload(source, title="Big", owner_type="project", owner_id=project)
        spawned = client.daemon.info().pid
        done = ferry("service", "install")
        wait_for(lambda: not psutil.pid_exists(spawned), what="the spawned daemon to leave")
        assert client.daemon.info().pid == systemd.pid
        client.transfers.set_limits(bandwidth_bps=0)
        client.transfers.get(transfer.id).wait(timeout_s=60)
    assert "loginctl enable-linger" in done.stderr
    assert "logged out" not in done.stderr
    assert f"ExecStart={Path(sys.executable).parent / 'ferryd'} run" in systemd.unit.read_text()
    assert f'Environment="FERRYMAN_STATE_DIR={home.state_dir}"' in systemd.unit.read_text()
    shown = ferry("service", "status").stdout
    assert "active (running)" in shown
    assert str(systemd.pid) in shown


def test_the_next_call_starts_the_service_again(home: Home, systemd: Systemd) -> None:
    ferry("service", "install")
    first = systemd.pid
    psutil.Process(first).kill()
    wait_for(lambda: not [process for process in home.daemons() if process.is_running()], what="the daemon to be gone")
    with Client() as client:
        assert client.daemon.info().pid == systemd.pid != first
    assert systemd.asked[-1] == "start ferryd.service"


def test_installing_twice_changes_nothing(home: Home, systemd: Systemd) -> None:
    ferry("service", "install")
    first, text = systemd.pid, systemd.unit.read_text()
    ferry("service", "install")
    assert (systemd.pid, systemd.unit.read_text()) == (first, text)
    systemd.unit.write_text(text + "# of an older release\n")
    ferry("service", "install")
    assert systemd.pid != first
    assert systemd.unit.read_text() == text


def test_uninstall_leaves_the_queue_and_a_machine_that_works(home: Home, systemd: Systemd) -> None:
    ferry("service", "install")
    with Client() as client:
        project = client.create_project("Stays").project_id
    ferry("service", "uninstall")
    assert not systemd.unit.exists()
    assert not list(systemd.unit.parent.glob("*/*"))
    with Client() as client:
        assert [one.project_id for one in client.projects.list()] == [project]
    assert "no service to remove" in ferry("service", "uninstall").stdout
    assert "not installed" in ferry("service", "status", code=1).stdout


def test_linger_that_is_on_is_said(home: Home, systemd: Systemd) -> None:
    systemd.set_linger("yes")
    said = ferry("service", "install").stderr
    assert "linger is on" in said
    assert "enable-linger" not in said


def test_the_service_never_gets_the_token_of_the_shell(
    home: Home, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "fat_canarycanarycanarycanarycanarycanarycana"
    monkeypatch.setenv("FERRYMAN_TOKEN", canary)
    monkeypatch.setenv("FERRYMAN_HUB", "http://127.0.0.1:9")
    done = ferry("service", "install", "--json")
    assert "FERRYMAN_HUB and FERRYMAN_TOKEN" in done.stderr
    assert canary not in systemd.unit.read_text() + done.stdout + done.stderr
    data = json.loads(done.stdout)["data"]
    assert (data["installed"], data["active"], data["linger"]) == (True, "active", False)


def test_a_failing_systemd_is_quoted(home: Home, systemd: Systemd) -> None:
    (systemd.root / "refuse").write_text("Failed to connect to bus: No medium found\n")
    done = ferry("service", "install", code=1)
    assert "Failed to connect to bus: No medium found" in done.stderr
    assert "You can do without" in done.stderr
    assert not systemd.unit.exists()


def test_a_systemd_that_hangs_is_not_waited_for(home: Home, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_of_ferry, "_QUESTION_TIMEOUT_S", 0.2)
    for name in ("systemctl", "loginctl"):
        systemd.program(name, "exec sleep 60")
    assert "systemctl does not answer within 0.2 s" in systemd_of_ferry.why_not()
    assert systemd_of_ferry.unit_status() == systemd_of_ferry.UnitStatus()
    assert systemd_of_ferry.linger() is None


def test_an_environment_whose_path_has_spaces_and_quotes(home: Home, systemd: Systemd) -> None:
    """Another environment than before: the service then runs that one's program."""
    ferry("service", "install")
    first, other = systemd.pid, home.root / "it's an environment"
    other.mkdir()
    (other / "ferryd").symlink_to(Path(sys.executable).parent / "ferryd")
    path = f"{other}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        ferry("service", "install")
    assert systemd.pid != first
    assert systemd_of_ferry.program(systemd.unit.read_text()) == str(other / "ferryd")
    with Client() as client:
        assert client.daemon.info().pid == systemd.pid


def test_a_shell_without_the_runtime_directory_finds_the_service(
    home: Home, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cron and su leave it."""
    ferry("service", "install")
    monkeypatch.setenv("FERRYMAN_RUNTIME_DIR", str(home.root / "elsewhere"))
    with Client() as client:
        assert client.daemon.info().pid == systemd.pid
    assert str(home.socket) in ferry("doctor").stdout
    ferry("service", "install")  # nothing is to be stopped: what runs is the service
    assert "active (running)" in ferry("service", "status").stdout


def test_without_systemctl_it_says_that_none_is_needed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home.root / "nothing"))
    done = ferry("service", "install", code=1)
    assert "this machine has no systemd" in done.stderr
    assert "You can do without" in done.stderr
    assert "not installed" in ferry("service", "status", code=1).stdout


def test_logs_of_a_daemon_that_is_no_service(home: Home) -> None:
    assert "no log yet" in ferry("service", "logs", code=4).stderr
    with Client() as client:
        client.connect()
    assert "ferryd.app serving" in ferry("service", "logs", "-n", "5").stdout


def test_logs_of_the_service_are_the_journals(home: Home, systemd: Systemd) -> None:
    systemd.program("journalctl", 'echo "journal $@"')
    ferry("service", "install")
    shown = ferry("service", "logs", "-n", "7", "--follow").stdout
    assert shown == "journal --user --no-pager --unit=ferryd.service --lines=7 --follow\n"
