"""Starting the daemon: one of many, once, with a clear word when it does not work; and whose socket is trusted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ferryman
from ferryman import Client, DaemonError, DaemonTimeoutError, address, spawn

FAKE = Path(__file__).with_name("fake_ferryd.py")
ROOT = FAKE.parents[3]


@pytest.fixture
def ferryd(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The path of a fake ferryd; what it started is ended afterwards."""
    program = runtime.parent / "bin" / "ferryd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    yield program
    for pid in started(runtime):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started(runtime: Path) -> list[int]:
    found = runtime / "starts"
    return [int(line) for line in found.read_text().split()] if found.exists() else []


def stale(path: Path) -> None:
    """Leave a socket file that nobody listens on."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def test_the_first_call_starts_a_daemon_that_outlives_the_client(ferryd: Path, runtime: Path) -> None:
    with Client(binary_path=ferryd) as client:
        pid = client.auth_status().user_id
    with Client(binary_path="/nowhere") as second:
        assert second.auth_status().user_id == pid
    assert started(runtime) == [int(pid)]
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE((runtime.parent / "state" / "daemon.log").stat().st_mode) == 0o600
    assert os.getsid(int(pid)) == int(pid)


def test_a_killed_daemon_is_replaced_by_the_next_call(ferryd: Path, runtime: Path) -> None:
    with Client(binary_path=ferryd) as client:
        first = int(client.auth_status().user_id)
        os.kill(first, signal.SIGKILL)
        while address.answers(runtime / "daemon.sock"):
            time.sleep(0.005)
        assert int(client.auth_status().user_id) != first
    assert len(started(runtime)) == 2


def test_an_explicit_socket_and_relative_directories_reach_the_daemon(
    ferryd: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runtime.parent)
    monkeypatch.setenv("FERRYMAN_STATE_DIR", "state")
    path = Path("runtime") / "own.sock"
    with Client(socket_path=path, binary_path="bin/ferryd") as client:
        assert client.auth_status().user_email == os.path.realpath("state")
    assert (runtime / "own.sock").exists()


def test_binary_is_found_on_path(ferryd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(ferryd.parent))
    assert spawn.find_binary(None, Path("/s")) == [str(ferryd)]
    monkeypatch.setenv("PATH", "/nonexistent")
    assert spawn.find_binary(None, Path("/s"))[-1].rpartition("/")[2] in ("ferryd",)


def test_no_ferryd_anywhere_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ferryman.ConnectionError, match=r'pip install "/path/to/ferryman\[daemon\]"'):
        spawn.find_binary(None, Path("/s"))


def test_a_wrong_binary_path_is_a_clear_error(runtime: Path) -> None:
    with pytest.raises(ferryman.ConnectionError, match="no program at binary_path /nowhere/ferryd"):
        Client(binary_path="/nowhere/ferryd").connect()
    plain = runtime.parent / "plain"
    plain.write_text("x")
    with pytest.raises(ferryman.ConnectionError, match="not executable; run: chmod"):
        Client(binary_path=plain).connect()


def test_without_auto_start_the_error_says_how_to_start(runtime: Path) -> None:
    with pytest.raises(ferryman.ConnectionError, match="ferryd run"):
        Client(auto_start=False).connect()
    assert not runtime.exists()


@pytest.mark.parametrize(("mode", "says"), [("die", "broken heart"), ("error", "the disk is on fire")])
def test_a_daemon_that_cannot_start_says_why(
    ferryd: Path, monkeypatch: pytest.MonkeyPatch, mode: str, says: str
) -> None:
    monkeypatch.setenv("FAKE_FERRYD", mode)
    with pytest.raises(ferryman.ConnectionError, match=says) as caught:
        Client(binary_path=ferryd).connect()
    assert caught.value.code == "unavailable"


def test_a_daemon_that_is_never_ready_is_a_timeout(ferryd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FERRYD", "hang")
    with pytest.raises(DaemonTimeoutError, match="start_timeout_s"):
        Client(binary_path=ferryd, start_timeout_s=0.2).connect()


def test_a_spawn_lock_that_is_never_released_is_a_timeout(ferryd: Path, runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    with (runtime / "spawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DaemonTimeoutError, match=r"spawn\.lock"):
            Client(binary_path=ferryd, start_timeout_s=0.1).connect()
    assert started(runtime) == []


def test_a_daemon_that_is_just_ending_is_waited_for(ferryd: Path, runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    with (runtime / "daemon.lock").open("w") as ending, ThreadPoolExecutor(1) as pool:
        fcntl.flock(ending, fcntl.LOCK_EX)
        answer = pool.submit(lambda: Client(binary_path=ferryd).auth_status().user_id)
        while not started(runtime):
            time.sleep(0.005)
        fcntl.flock(ending, fcntl.LOCK_UN)
        assert int(answer.result()) in started(runtime)


@pytest.mark.slow
def test_many_processes_with_a_stale_socket_start_one_daemon(ferryd: Path, runtime: Path) -> None:
    stale(runtime / "daemon.sock")
    client = f"Client(binary_path={str(ferryd)!r}, start_timeout_s=60)"
    code = f"from ferryman import Client; print({client}.auth_status().user_id)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(20)]
    answers = {process.communicate()[0] for process in processes}
    assert len(answers) == 1
    assert started(runtime) == [int(answers.pop())]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_open_to_others_is_refused(runtime: Path, mode: int) -> None:
    runtime.mkdir()
    runtime.chmod(mode)
    for auto_start in (True, False):
        with pytest.raises(DaemonError, match="chmod 700") as caught:
            Client(auto_start=auto_start).connect()
        assert caught.value.code == "permission_denied"


def test_a_linked_directory_and_a_file_in_place_of_the_socket_are_refused(runtime: Path) -> None:
    real = runtime.parent / "real"
    real.mkdir(mode=0o700)
    runtime.symlink_to(real)
    with pytest.raises(DaemonError, match="not a link"):
        Client().connect()
    (real / "daemon.sock").write_text("x")
    with pytest.raises(DaemonError, match="not a socket of yours"):
        Client(socket_path=real / "daemon.sock").connect()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    os.chown(runtime, 12345, 12345)
    with pytest.raises(DaemonError, match="belongs to user 12345"):
        Client().connect()


def test_a_runtime_directory_that_cannot_be_made_is_explained(runtime: Path) -> None:
    runtime.parent.joinpath("file").write_text("x")
    with pytest.raises(DaemonError, match="FERRYMAN_RUNTIME_DIR") as caught:
        Client(socket_path=runtime.parent / "file" / "run" / "d.sock").connect()
    assert caught.value.code == "permission_denied"


def test_a_state_directory_that_cannot_be_made_is_explained(
    ferryd: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.parent.joinpath("file").write_text("x")
    monkeypatch.setenv("FERRYMAN_STATE_DIR", str(runtime.parent / "file" / "state"))
    with pytest.raises(ferryman.ConnectionError, match=r"Not a directory; .* FERRYMAN_STATE_DIR"):
        Client(binary_path=ferryd).connect()


def test_a_socket_path_too_long_for_the_system_is_a_clear_error() -> None:
    with pytest.raises(DaemonError, match="103") as caught:
        Client(socket_path="/tmp/" + "x" * 110).connect()
    assert caught.value.code == "invalid_argument"
