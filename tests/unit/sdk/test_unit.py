"""A unit of systemd is preferred where it is installed and means the same daemon; nowhere else is it asked."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client, unit

FAKE = Path(__file__).with_name("fake_ferryd.py")


@pytest.fixture
def systemctl(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A systemctl and a ferryd on PATH. The file returned holds what systemctl was asked, a line each time."""
    base = runtime.parent
    asked, programs = base / "asked", base / "bin"
    programs.mkdir()
    _program(programs / "ferryd", f'exec {sys.executable} {FAKE} "$@"')
    service = f'{sys.executable} {FAKE} run --ready-fd 3 3>"{base}/ready" </dev/null >/dev/null 2>&1 &'
    wait = f'while ! [ -s "{base}/ready" ]; do sleep 0.01; done'
    _program(programs / "systemctl", f'echo "$@" >>"{asked}"\n[ -z "$SYSTEMCTL_FAILS" ] || exit 1\n{service}\n{wait}')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config-home"))
    yield asked
    for pid in _started(runtime):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _started(runtime: Path) -> list[int]:
    found = runtime / "starts"
    return [int(line) for line in found.read_text().split()] if found.exists() else []


def _asked(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _install(*, lines: list[str] | None = None) -> None:
    path = unit.unit_path()
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["[Service]", *(unit.environment_lines() if lines is None else lines), ""]))


START = "--user --no-ask-password start ferryd.service"


def test_an_installed_unit_is_started_by_systemd(systemctl: Path, runtime: Path) -> None:
    _install()
    with Client() as client:
        assert int(client.auth_status().user_id) in _started(runtime)
    with Client() as client:  # it runs: nobody is asked
        client.auth_status()
    assert _asked(systemctl) == [START]
    assert len(_started(runtime)) == 1
    assert not (runtime.parent / "state" / "daemon.log").exists(), "the SDK spawned one itself"


def test_without_a_unit_systemd_is_not_asked(systemctl: Path, runtime: Path) -> None:
    with Client() as client:
        client.auth_status()
    assert _asked(systemctl) == []
    assert len(_started(runtime)) == 1


def test_a_service_that_does_not_start_is_replaced(
    systemctl: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install()
    monkeypatch.setenv("SYSTEMCTL_FAILS", "1")
    with Client() as client:
        assert [int(client.auth_status().user_id)] == _started(runtime)
    assert _asked(systemctl) == [START]


def test_a_machine_without_systemctl_needs_none(
    systemctl: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install()
    (runtime.parent / "bin" / "systemctl").unlink()
    monkeypatch.setenv("PATH", str(runtime.parent / "bin"))
    with Client() as client:
        client.auth_status()
    assert _asked(systemctl) == []


@pytest.mark.parametrize("name", ["FERRYMAN_HUB", "FERRYMAN_TOKEN"])
def test_what_a_service_would_not_see_is_spawned(
    systemctl: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _install()
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Client() as client:
        client.auth_status()
    assert _asked(systemctl) == []


def test_a_unit_for_other_directories_is_not_started(systemctl: Path, runtime: Path) -> None:
    _install(lines=['Environment="FERRYMAN_STATE_DIR=/elsewhere"'])
    with Client() as client:
        client.auth_status()
    assert _asked(systemctl) == []


@pytest.mark.parametrize("given", ["binary_path", "socket_path"])
def test_an_explicit_program_or_socket_is_not_the_service(systemctl: Path, runtime: Path, given: str) -> None:
    _install()
    value = {"binary_path": runtime.parent / "bin" / "ferryd", "socket_path": runtime / "own.sock"}[given]
    with Client(**{given: value}) as client:
        client.auth_status()
    assert _asked(systemctl) == []


@pytest.mark.slow
def test_a_service_that_hangs_does_not_hang_the_caller(systemctl: Path, runtime: Path) -> None:
    _install()
    _program(runtime.parent / "bin" / "systemctl", "exec sleep 60")
    with Client(start_timeout_s=4.0) as client:
        assert [int(client.auth_status().user_id)] == _started(runtime)


def test_other_lines_of_a_persons_own_change_nothing(systemctl: Path) -> None:
    _install(lines=['Environment="SSL_CERT_FILE=/etc/ca.pem"', *unit.environment_lines()])
    assert unit.serves()


def test_a_user_without_a_home_has_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert not unit.serves()


def test_lines_survive_systemds_quoting() -> None:
    lines = unit.environment_lines({"FERRYMAN_STATE_DIR": '/a "b"/100%', "XDG_STATE_HOME": "", "HOME": "/root"})
    assert lines == ['Environment="FERRYMAN_STATE_DIR=/a \\"b\\"/100%%"']
