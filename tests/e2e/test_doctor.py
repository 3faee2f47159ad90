"""`ferry doctor`: what is right and wrong here, for people and as one JSON object without secrets."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ferryman import Client, unit
from ferryman.cli import checks, remotechecks, systemd
from ferryman.cli.checks import Check, Verdict
from ferryman.reports import DaemonInfo
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

CANARY = "fat_canarycanarycanarycanarycanarycanarycana"


def doctor(*words: str, code: int | None) -> str:
    command = [sys.executable, "-m", "ferryman.cli", "doctor", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert code in (None, done.returncode), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stderr
    return done.stdout


def examine(*, code: int | None) -> dict[str, Any]:
    """The checks of `ferry doctor --json` by name; the output is one JSON object."""
    said = json.loads(doctor("--json", code=code))
    assert said["event"] == "doctor"
    assert code is None or said["data"]["healthy"] is (code == 0)
    return {check["name"]: check for check in said["data"]["checks"]}


def test_a_fresh_machine_is_well(home: Home) -> None:
    found = examine(code=0)
    assert {"problem", "warning"}.isdisjoint(check["verdict"] for check in found.values())
    assert set(found) == {
        *("state directory", "runtime directory", "config directory", "socket", "space", "clock", "service"),
        *("proxy", "variables", "sdk", "daemon", "transfers", "hubs", "sign-in", "hub calls"),
    }
    with Client(auto_start=False) as client:
        info = client.daemon.info()
    details = found["daemon"]["details"]
    assert (details["pid"], details["version"], details["hub"]) == (info.pid, info.version, "embedded")
    assert details["was_running"] is False
    assert found["state directory"]["details"]["mode"] == "0700"
    text = doctor(code=0)
    assert text.splitlines()[-1] == "Nothing is wrong."
    assert "running, hub embedded" in text


def test_a_directory_open_to_others_is_found_and_the_rest_still_looked_at(home: Home) -> None:
    home.state_dir.chmod(0o755)
    found = examine(code=1)
    assert found["state directory"]["next_step"] == f"Run: chmod 700 {home.state_dir}"
    assert found["daemon"]["verdict"] == "problem"
    assert "chmod 700" in found["daemon"]["message"]
    assert found["space"]["verdict"] == "ok"
    assert f"→ Run: chmod 700 {home.state_dir}" in doctor(code=1)


def test_a_hub_is_asked_for_its_version_and_its_time(
    home: Home, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRYMAN_HUB", hub_server.url)
    monkeypatch.setenv("FERRYMAN_TOKEN", hub_server.token("ada@example.org"))
    found = examine(code=0)
    assert found["hub"]["details"]["version"] == found["sdk"]["details"]["version"]
    assert abs(found["hub's clock"]["details"]["skew_s"]) < remotechecks.SKEW_WARNING_S
    assert found["sign-in"]["details"]["user_email"] == "ada@example.org"


def test_nothing_secret_is_shown(home: Home, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary in every place a secret may be; one that the hub refuses, so that there are errors to show."""
    monkeypatch.setenv("FERRYMAN_HUB", hub_server.url)
    monkeypatch.setenv("FERRYMAN_TOKEN", CANARY)
    monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@proxy.example:3128")
    monkeypatch.setenv("FERRYMAN_EXTRA", f"http://x/?sig={CANARY}")
    found = examine(code=1)
    assert found["sign-in"]["verdict"] == "problem"
    assert found["sign-in"]["details"]["reason"] == "TOKEN_INVALID"
    assert found["proxy"]["details"]["variables"] == {"https_proxy": "http://***@proxy.example:3128"}
    assert found["variables"]["details"]["variables"]["FERRYMAN_TOKEN"] == "***"
    for shown in (doctor("--json", code=1), doctor(code=1), doctor("--debug", code=1)):
        assert "canary" not in shown


def test_a_hub_that_does_not_answer(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_HUB", "http://127.0.0.1:9")
    monkeypatch.setenv("FERRYMAN_TOKEN", CANARY)
    found = examine(code=1)
    assert found["sign-in"]["details"]["reason"] == "HUB_UNREACHABLE"
    assert "Connection refused" in found["hub"]["message"]


def test_a_hub_that_takes_calls_and_never_answers(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("FERRYMAN_HUB", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("FERRYMAN_TOKEN", CANARY)
        found = examine(code=1)
    assert found["sign-in"]["verdict"] == "problem"
    assert "the hub did not answer" in found["sign-in"]["message"]
    assert "timed out" in found["hub"]["message"]


def test_a_daemon_that_hangs(home: Home) -> None:
    with Client() as client:
        pid = client.daemon.info().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        found = examine(code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert found["daemon"]["verdict"] == "problem"
    assert found["state directory"]["verdict"] == "ok"


def _daemon(info: DaemonInfo, **changed: Any) -> Check:
    return remotechecks._daemon(replace(info, **changed), info.version, was_running=True)


def test_a_transfer_that_is_tried_again_is_told_with_its_error(home: Home) -> None:
    """Whatever the cause: here the hub's directory of bytes is a file, so each attempt fails."""
    with Client() as client:
        me = client.auth_status().user_id
        assert examine(code=0)["transfers"]["verdict"] == "ok"
        (home.data / "a.csv").write_text("1")
        blobs = home.state_dir / "hub" / "blobs"
        shutil.rmtree(blobs)
        blobs.touch()
        handle = client.transfers.upload(home.data / "a.csv", title="T", owner_type="user", owner_id=me)
        for info in client.transfers.watch([handle]):
            if info.error is not None and info.waiting_for:
                break
        # While it is tried, and waits for nothing, there is nothing to tell.
        found = wait_for(_told_of_transfers, what="the transfer to be told")
        assert info.error is not None
        assert (found["verdict"], found["details"]["transfer_id"]) == ("problem", handle.transfer_id)
        assert (found["details"]["reason"], "ferry ls" in found["next_step"]) == (info.error.reason, True)
        handle.cancel()


def _told_of_transfers() -> dict[str, Any]:
    found = examine(code=None)["transfers"]
    return found if found["verdict"] != "ok" else {}


def test_a_daemon_of_another_home_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "daemon's state" not in examine(code=0)
    elsewhere = home.root / "elsewhere"
    monkeypatch.delenv("FERRYMAN_STATE_DIR")
    monkeypatch.setenv("HOME", str(elsewhere))
    found = examine(code=1)["daemon's state"]
    assert (str(home.state_dir) in found["message"], str(elsewhere) in found["message"]) == (True, True)


def test_a_daemon_of_another_release_or_one_that_leaves(home: Home) -> None:
    with Client() as client:
        info = client.daemon.info()
    assert _daemon(info).verdict is Verdict.OK
    older = _daemon(info, version="0.0.9")
    assert older.verdict is Verdict.WARNING
    assert (f"this command is {info.version}" in older.message, f"kill {info.pid}" in older.next_step) == (True, True)
    assert _daemon(info, draining=True).verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("active", "reason", "verdict", "said"),
    [
        ("active", "", "ok", "runs as process 7"),
        ("failed", "", "problem", "the service failed (watchdog); cannot start: the disk is full"),
        ("inactive", "", "warning", "the service is inactive"),
        ("", "this machine has no systemd", "warning", "installed, but this machine has no systemd"),
    ],
)
def test_a_service_that_does_not_run(active: str, reason: str, verdict: str, said: str) -> None:
    known = systemd.UnitStatus(active=active, result="watchdog", pid=7, status="cannot start: the disk is full")
    found = checks._service(sys.executable, reason, known, {})
    assert (found.verdict, found.message) == (verdict, said)


def test_a_service_whose_program_is_gone(home: Home) -> None:
    path = unit.unit_path()
    path.parent.mkdir(parents=True)
    path.write_text(systemd.render([str(home.root / "old venv" / "ferryd")]))
    found = examine(code=1)["service"]
    assert "old venv/ferryd is gone" in found["message"]
    assert found["next_step"] == "Run: ferry service install"


def test_linger_that_is_off() -> None:
    assert checks._linger(True).verdict is Verdict.OK
    assert checks._linger(None).verdict is Verdict.NOTE
    off = checks._linger(False)
    assert (off.verdict, off.next_step) == (Verdict.WARNING, "Run: loginctl enable-linger")


def test_a_token_without_its_hub() -> None:
    assert checks.variables({"FERRYMAN_TOKEN": CANARY}).verdict is Verdict.WARNING


def test_a_proxy_is_told_not_to_be_used() -> None:
    found = checks.proxies({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": ""})
    assert (found.verdict, "uses no proxy" in found.message) == (Verdict.NOTE, True)


def test_a_state_directory_on_a_network_file_system(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "NETWORK_FILE_SYSTEMS", (checks.file_system(home.state_dir),))
    home.state_dir.mkdir(exist_ok=True)
    found = checks.directory("state", home.state_dir, private=True)
    assert (found.verdict, "network file system" in found.message) == (Verdict.WARNING, True)


def test_a_directory_that_cannot_be_made(home: Home) -> None:
    """Below a file, as below a home that is read-only."""
    (home.root / "file").touch()
    found = checks.directory("state", home.root / "file" / "state", private=True)
    assert (found.verdict, "FERRYMAN_STATE_DIR" in found.next_step or "path" in found.next_step) == ("problem", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)  # root may write anywhere
        found = checks.directory("state", home.root / "none" / "state", private=True)
    assert (found.verdict, found.next_step) == (
        "problem",
        "Set FERRYMAN_STATE_DIR to a directory of yours on this machine.",
    )


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FERRYMAN_STATE_DIR", "FERRYMAN_CONFIG_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    found = {check.name: check for check in checks.of_this_machine({})}
    assert found["state directory"].message == "your user has no home directory; set HOME, or FERRYMAN_STATE_DIR"
    assert found["clock"].verdict is Verdict.OK


@contextmanager
def _hub_with(headers: dict[str, str], status: int = 200) -> Iterator[str]:
    """Something that answers /healthz as it likes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0, "ok"), (100, "warning"), (-100, "warning"), (3600, "problem"), (-3600, "problem")]
)
def test_a_clock_that_is_wrong(ahead_s: int, verdict: str) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=ahead_s), usegmt=True)
    with _hub_with({"date": date, "ferryman-version": "0.1.0"}) as url:
        found = {check.name: check for check in remotechecks._hub_itself(url, "0.1.0", None)}
    assert found["hub"].verdict is Verdict.OK
    clock = found["hub's clock"]
    assert clock.verdict == verdict
    if ahead_s:
        assert ("ahead of" if ahead_s > 0 else "behind") in clock.message


def test_versions_that_differ() -> None:
    with _hub_with({"ferryman-version": "9.9.1"}) as url:
        [hub] = remotechecks._hub_itself(url, "0.1.0", None)
    assert hub.verdict is Verdict.WARNING
    assert "9.9.1" in hub.message
    with _hub_with({}, status=404) as url:
        [hub] = remotechecks._hub_itself(url, "0.1.0", None)
    assert hub.verdict is Verdict.PROBLEM
    assert "this is no hub" in hub.message


def test_little_space_and_a_lost_socket_directory(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LOW_SPACE_BYTES", 1 << 60)
    assert checks.space(home.state_dir / "deeper" / "still").verdict is Verdict.PROBLEM
    long = {"FERRYMAN_RUNTIME_DIR": str(home.root / ("x" * 120))}
    monkeypatch.setenv(*long.popitem())
    assert checks.socket_path().verdict is Verdict.PROBLEM


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else(home: Home) -> None:
    os.chown(home.state_dir, 12345, 12345)
    found = checks.directory("state", home.state_dir, private=True)
    assert found.verdict is Verdict.PROBLEM
    assert "belongs to user 12345" in found.message


def test_a_year_that_cannot_be() -> None:
    assert checks.clock(datetime(1970, 1, 1, tzinfo=UTC)).verdict is Verdict.PROBLEM
    assert checks.clock(datetime.now(UTC)).verdict is Verdict.OK
