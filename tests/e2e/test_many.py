"""Many at once: processes that start the daemon, processes that submit, transfers that queue, memory that stays."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ferryman import Client
from tests.support.files import MIB, make_file, make_sparse
from tests.support.home import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.serial

#: Imports first, so that the race is about the daemon and not about who imports fastest; then all go at once, and
#: nobody ends before all have answered.
RACER = """
import sys
from ferryman import Client
import ferryman.wire, ferryman.daemon
print("ready", flush=True)
sys.stdin.readline()
with Client(start_timeout_s=60) as client:
    print(client.auth_status().user_email, client.daemon.info().pid, flush=True)
sys.stdin.readline()
"""

SUBMITTER = """
import sys
from ferryman import Client
with Client(start_timeout_s=60, request_timeout_s=120) as client:
    for _ in range(int(sys.argv[3])):
        t = client.transfers.upload(sys.argv[1], title="t", owner_type="project", owner_id=sys.argv[2])
        print(t.id, flush=True)
"""

FORKED = """
import os, sys
from ferryman import Client
with Client() as client:
    email = client.auth_status().user_email
    said = lambda: os.write(1, b"the same\\n" if client.auth_status().user_email == email else b"another\\n")
    child = os.fork()
    if child == 0:
        try:
            said()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said()
"""


def leave_stale_socket(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home.socket))


@pytest.mark.slow
def test_fifty_processes_start_one_daemon(home: Home) -> None:
    leave_stale_socket(home)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home.env
        )
        for _ in range(50)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    began = time.monotonic()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.stdout.readline() for racer in racers if racer.stdout]
    took = time.monotonic() - began
    for racer in racers:
        racer.communicate(timeout=60)
    assert len(answers) == 50
    assert len(set(answers)) == 1
    [daemon] = home.daemons()
    assert answers[0].split()[1] == str(daemon.pid)
    print(f"50 clients answered in {took:.2f} s")  # bench/crowd.py holds it to its bar


@pytest.mark.slow
def test_two_hundred_processes_submit_at_once(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "small", 1000)

    def submit(_: int) -> str:
        command = [sys.executable, "-c", SUBMITTER, str(path), project_id, "1"]
        return subprocess.run(command, env=home.env, capture_output=True, text=True, check=True).stdout.strip()

    with ThreadPoolExecutor(200) as pool:
        ids = list(pool.map(submit, range(200)))
    assert len(set(ids)) == 200
    for transfer_id in ids:
        client.transfers.get(transfer_id).wait(timeout_s=120)
    assert len(list(client.assets.list(project=project_id))) == 200


@pytest.mark.slow
def test_ten_thousand_transfers_queue(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "small", 1000)
    client.transfers.set_limits(running_transfers=1, bandwidth_bps=1024)
    for _ in range(10_000):
        client.transfers.upload(path, title="t", owner_type="project", owner_id=project_id)
    page = client.transfers.list(states=["queued", "running"])
    assert page.total_size is not None
    assert page.total_size > 9_900
    [daemon] = home.daemons()
    assert daemon.memory_info().rss < 150 * MIB
    client.daemon.shutdown()  # every one of them is still there afterwards
    wait_for(lambda: not home.daemons(), what="the daemon to end")
    with Client() as later:
        assert later.transfers.list().total_size == 10_000
        assert later.auth_status().user_email


@pytest.mark.slow
def test_memory_does_not_depend_on_file_size(client: Client, home: Home, project_id: str) -> None:
    paths = [make_sparse(home.data / f"big{i}", 1 << 30, marks=(i,)) for i in range(4)]
    [daemon] = home.daemons()
    transfers = [
        client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project_id) for path in paths
    ]
    peak = 0
    while any(transfer.info().state in ("queued", "running") for transfer in transfers):
        peak = max(peak, daemon.memory_info().rss)
        time.sleep(0.02)
    for transfer in transfers:
        transfer.wait(timeout_s=1)
    assert peak < 150 * MIB, f"{peak / MIB:.0f} MiB"


def test_a_forked_child_has_a_connection_of_its_own(home: Home) -> None:
    """In a process of its own: of a fork of this one, other tests' threads of grpc could make an end."""
    done = subprocess.run([sys.executable, "-c", FORKED], env=home.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "the same\n" * 2), done.stderr


def test_a_second_daemon_says_so_and_leaves(client: Client, home: Home) -> None:
    client.connect()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ferryd")), "run"], env=home.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "another daemon serves" in done.stderr
    assert client.auth_status()


def test_the_daemon_leaves_when_idle_and_comes_back(home: Home) -> None:
    (home.config_dir / "config.toml").write_text("idle_timeout_s = 1.5\n")
    with Client() as client:
        first = client.daemon.info().pid
        wait_for(lambda: not psutil.pid_exists(first), what="the idle daemon to end")
        assert client.daemon.info().pid != first


def test_the_daemon_leaves_when_its_socket_is_taken_away(client: Client, home: Home) -> None:
    first = client.daemon.info().pid
    home.socket.unlink()
    with Client() as other:
        assert other.daemon.info().pid != first
    assert [daemon.pid for daemon in home.daemons()] != [first]
