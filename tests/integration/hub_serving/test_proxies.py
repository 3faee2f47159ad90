"""The proxies of `docs/howto/deploy.md`, real ones with its blocks: hubs come and go, and bytes pass unbuffered."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from ferryman import Client
from tests.architecture.sources import ROOT
from tests.integration.hub_serving.conftest import Serve
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.ports import dead_port
from tests.support.reverse import ReverseProxy, program, reverse_proxy
from tests.support.waiting import ended, wait_for

pytestmark = pytest.mark.slow

KINDS = pytest.mark.parametrize("kind", ["caddy", "nginx"])
CALL = "/ferryapi.hub.v1.ProjectService/ListProjects"


class Caller:
    """Somebody who calls through a proxy, without repeating anything."""

    def __init__(self, proxy: ReverseProxy, token: str) -> None:
        self._http = httpx.Client(
            base_url=proxy.url, verify=proxy.trust, headers={"authorization": f"Bearer {token}"}, timeout=30
        )

    def call(self) -> int:
        return self._http.post(CALL, json={}).status_code

    def close(self) -> None:
        self._http.close()


def _calls_of(hub: HubServer) -> int:
    return hub.log.read_text().count("request_done what=ProjectService/ListProjects status=200")


def _few_are_lost(answers: list[int]) -> None:
    """At most what went, one after the other, over the one connection that ended: not yet taken by a hub that stops
    listening, or not yet known to be dead by the proxy. A daemon asks again."""
    assert len([each for each in answers if each != 200]) <= 1, answers


@KINDS
def test_hubs_come_and_go(serve: Serve, kind: str, tmp_path: Path) -> None:
    hubs = [serve(), serve("--drain-delay", "4"), serve()]
    token = hubs[0].token("ann@x.org")
    with reverse_proxy(kind, [hub.port for hub in hubs], tmp_path / "proxy") as proxy, ExitStack() as stack:
        caller = Caller(proxy, token)
        stack.callback(caller.close)
        wait_for(lambda: caller.call() == 200 and all(map(_calls_of, hubs)), what="each hub to get a call")
        hubs[0].kill()
        _few_are_lost([caller.call() for _ in range(20)])  # one is dead, and others answer for it
        hubs[0].start()
        leaving = psutil.Process(hubs[1].pid)
        leaving.terminate()
        answers = []
        while not ended(leaving):  # what it took last may be lost at its very end
            answers.append(caller.call())
        _few_are_lost(answers)
        seen = _calls_of(hubs[0])
        wait_for(lambda: caller.call() == 200 and _calls_of(hubs[0]) > seen, what="the one that came back to get calls")
        assert {caller.call() for _ in range(20)} == {200}


def test_caddy_finds_no_fault_in_what_compose_gives_it(tmp_path: Path) -> None:
    env = {**os.environ, "HUB_NAME": "hub.example.org", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    words = [
        program("caddy"),
        "validate",
        "--adapter",
        "caddyfile",
        "--config",
        str(ROOT / "hub" / "docker" / "Caddyfile"),
    ]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "Valid configuration" in done.stdout + done.stderr) == (0, True), done.stderr


@KINDS
def test_bytes_pass_unbuffered(
    home: Home, hub_server: HubServer, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub with its own files, so that parts and blobs go through the proxy; the other two are dead."""
    path = make_file(home.data / "f", 40 * MIB + 1)
    with (
        dead_port() as one,
        dead_port() as two,
        reverse_proxy(kind, [one, hub_server.port, two], tmp_path / "proxy") as proxy,
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate.authority))
        monkeypatch.setenv("FERRYMAN_HUB", proxy.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", hub_server.token("ann@x.org"))
        with Client() as client:
            project = client.create_project("P").project_id
            made = client.upload(path, title="f", owner_type="project", owner_id=project, chunk_size_mb=16)
            [got] = client.download(made.asset_id, home.root / "dl").files
        assert same_bytes(path, Path(got.local_path))
        # A hub writes the line once it has answered.
        wait_for(lambda: "request_done what=blob status=206" in hub_server.log.read_text(), what="the blob in the log")
        assert hub_server.log.read_text().count("request_done what=part status=200") == 3
        # What nginx says of a body or a reply that it puts on disk first; of signatures neither says anything.
        assert "temporary file" not in proxy.log
        assert "sig=" not in (access.read_text() if (access := proxy.directory / "access.log").exists() else "")
