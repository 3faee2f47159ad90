"""The command `ferryhub`, as an operator uses it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.hub_catalogue.conftest import JsonCaller, refusal
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for


def ferryhub(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ferryhub", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="fyh") as name:
        yield Path(name)


def test_version_and_usage() -> None:
    assert re.fullmatch(r"ferryhub \d+\.\d+\.\d+\n", ferryhub("--version").stdout)
    assert ferryhub().returncode == 2
    assert "serve" in ferryhub("--help").stdout


def test_token_create_prints_the_token_alone(tmp_path: Path) -> None:
    done = ferryhub("token", "create", "--email", "A@x.org", "--state-dir", str(tmp_path / "hub"))
    assert re.fullmatch(r"fat_[A-Za-z0-9_-]{43}\n", done.stdout), done.stderr
    listed = ferryhub("token", "list", "--state-dir", str(tmp_path / "hub")).stdout
    assert re.match(r"tok_\w{26}  a@x.org  read write  made ", listed)
    assert done.stdout.strip() not in listed


def test_default_state_dir_is_xdg(tmp_path: Path) -> None:
    done = ferryhub("token", "create", "--email", "a@x.org", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ferryhub" / "catalogue.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("token", "create", "--email", "nonsense"),
        ("token", "create", "--email", "a@x.org", "--expires-days", "0"),
        ("token", "create", "--email", "a@x.org", "--expires-days", "1e300"),
        ("token", "revoke", "tok_unknown"),
        ("serve", "--listen", "nowhere"),
        ("serve", "--listen", "127.0.0.1:70000"),
        ("serve", "--unix", "/nowhere/at/all.sock"),
    ],
)
def test_mistakes_are_one_line_on_stderr(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = ferryhub(*words, "--state-dir", str(tmp_path / "hub"))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"ferryhub: .+\n", done.stderr), done.stderr


def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalogue.db").write_bytes(b"something else" * 100)
    for words in (("token", "list"), ("serve", "--listen", "127.0.0.1:0")):
        done = ferryhub(*words, "--state-dir", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"ferryhub: .*catalogue\.db.*\n", done.stderr), done.stderr


@pytest.mark.slow
def test_tokens_work_expire_and_are_revoked_while_it_serves(hub_server: HubServer) -> None:
    state = ("--state-dir", str(hub_server.state_dir))
    caller = JsonCaller(hub_server.url, hub_server.token("a@x.org", "read"))
    with caller.client:
        assert caller("AccessService/GetIdentity")["scopes"] == ["read"]
    short = ferryhub("token", "create", "--email", "a@x.org", "--expires-days", "1e-9", *state)
    expired = JsonCaller(hub_server.url, short.stdout.strip())
    with expired.client:
        assert expired.refused("AccessService/GetIdentity")[1] == "TOKEN_EXPIRED"
    fresh = hub_server.token("b@x.org")
    token_id = ferryhub("token", "list", *state).stdout.splitlines()[-1].split()[0]
    assert ferryhub("token", "revoke", token_id, *state).returncode == 0
    revoked = JsonCaller(hub_server.url, fresh)
    with revoked.client:
        assert revoked.refused("AccessService/GetIdentity")[1] == "TOKEN_INVALID"
    assert "revoked" in ferryhub("token", "list", *state).stdout


def test_second_hub_on_one_state_dir_is_refused(hub_server: HubServer) -> None:
    done = ferryhub("serve", "--listen", "127.0.0.1:0", "--state-dir", str(hub_server.state_dir))
    assert done.returncode == 1
    assert "another hub uses" in done.stderr


def test_files_are_private_and_logs_hold_no_secret(hub_server: HubServer) -> None:
    token = hub_server.token("a@x.org")
    caller = JsonCaller(hub_server.url, token)
    with caller.client:
        caller("AccessService/GetIdentity")
        refusal(caller.post("AssetService/GetAsset", {"assetId": "x"}))
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in hub_server.state_dir.rglob("*")}
    assert modes == {0}
    assert token not in hub_server.log.read_text()


@pytest.mark.slow
def test_serves_on_a_private_unix_socket_and_stops_on_sigterm(short_dir: Path) -> None:
    path, log = short_dir / "hub.sock", short_dir / "log"
    state = ("--state-dir", str(short_dir / "hub"))
    token = ferryhub("token", "create", "--email", "a@x.org", *state).stdout.strip()
    command = [sys.executable, "-m", "ferryhub", "serve", "--unix", str(path), *state]
    for _ in range(2):  # the second time over the socket that a killed hub left behind
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_for(lambda: f"ferryhub listening on unix:{path}" in log.read_text(), what=log.name)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            caller = JsonCaller("http://hub", token, uds=str(path))
            with caller.client:
                assert caller("AccessService/GetIdentity")["email"] == "a@x.org"
            second = ferryhub("serve", "--unix", str(path), "--state-dir", str(short_dir / "other"))
            assert (second.returncode, "another process listens" in second.stderr) == (1, True)
        finally:
            process.kill()
            process.wait(60)
        assert path.exists()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    wait_for(lambda: "listening" in log.read_text(), what=log.name)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not path.exists()
    assert "Traceback" not in log.read_text()
    # The last connection went through a checkpoint: nothing is left in the log.
    assert not (short_dir / "hub" / "catalogue.db-wal").exists()


def test_sigterm_lets_a_running_request_finish(hub_server: HubServer) -> None:
    """A request whose body is still coming when SIGTERM arrives gets its answer."""
    token, project = hub_server.token("a@x.org"), json.dumps({"name": "late"}).encode()

    def body() -> Iterator[bytes]:
        yield project[:5]
        os.kill(hub_server.pid, signal.SIGTERM)
        wait_for(lambda: "Shutting down" in hub_server.log.read_text(), what="the shutdown to begin")
        yield project[5:]

    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    url = f"{hub_server.url}/ferryapi.hub.v1.ProjectService/CreateProject"
    reply = httpx.post(url, content=body(), headers=headers)
    assert (reply.status_code, reply.json()["name"]) == (200, "late")
    hub_server.stop()
