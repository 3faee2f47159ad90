"""Shells that look for the daemon in different places find the one there is: cron, su and batch jobs set no
XDG_RUNTIME_DIR or a TMPDIR of their own."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.home import Home

pytestmark = pytest.mark.slow

PID = "from ferryman import Client\nwith Client() as client: print(client.daemon.info().pid)"


def _shell(home: Home, runtime: str, **more: str) -> dict[str, str]:
    """An environment with a runtime directory of its own and the same state directory."""
    return {**home.env, "FERRYMAN_RUNTIME_DIR": str(home.root / runtime), **more}


def _ask(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PID]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def _pid(env: dict[str, str]) -> int:
    done = _ask(env)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_shell_that_looks_elsewhere_finds_the_running_daemon(home: Home) -> None:
    env = {name: value for name, value in home.env.items() if name != "FERRYMAN_RUNTIME_DIR"}
    places = [home.root / name for name in ("user", "job-1", "job-2")]
    for place in places:
        place.mkdir(mode=0o700)
    login, *jobs = [{"XDG_RUNTIME_DIR": str(places[0])}, *({"TMPDIR": str(place)} for place in places[1:])]
    first = _pid(env | login)
    assert (places[0] / "ferryman" / "daemon.sock").exists()
    assert {_pid(env | job) for job in jobs} == {first}


def test_shells_that_start_at_the_same_time_get_one_daemon(home: Home) -> None:
    with ThreadPoolExecutor(4) as pool:
        pids = list(pool.map(_pid, [_shell(home, f"run-{number}") for number in range(4)]))
    assert len(set(pids)) == 1


def test_after_a_kill_whoever_comes_first_starts_the_next_for_all(home: Home) -> None:
    first = _pid(_shell(home, "run-1"))
    home.kill_daemons()
    second = _pid(_shell(home, "run-2"))
    assert second != first
    assert _pid(_shell(home, "run-1")) == second


def test_a_daemon_of_another_state_directory_is_not_taken_for_it(home: Home) -> None:
    """It listens where the one that was killed did."""
    first = _pid(_shell(home, "run-1"))
    home.kill_daemons()
    other = Home(home.root / "other")
    other.root.mkdir()
    try:
        theirs = _pid(_shell(other, "x", FERRYMAN_RUNTIME_DIR=str(home.root / "run-1")))
        assert _pid(_shell(home, "run-2")) not in (first, theirs)
    finally:
        other.stop_daemons()


def test_a_socket_that_was_asked_for_is_not_another(home: Home) -> None:
    _pid(_shell(home, "run-1"))
    done = _ask(_shell(home, "run-2", FERRYMAN_SOCKET=str(home.root / "run-2" / "own.sock")))
    assert done.returncode == 1
    assert "another daemon uses" in done.stderr


@pytest.mark.parametrize("said", [b"", b"relative", b"/nowhere", b"\xff\x00/", b"/" + b"x" * 5000])
def test_senseless_words_in_the_lock_file_harm_nobody(home: Home, said: bytes) -> None:
    lock: Path = home.state_dir / "daemon.lock"
    first = _pid(_shell(home, "run-1"))
    lock.write_bytes(said)  # as a daemon of an older release leaves it
    assert _pid(_shell(home, "run-1")) == first
    assert "another daemon uses" in _ask(_shell(home, "run-2")).stderr
