"""One id follows a call from the SDK through the daemon to the hub; a transfer's own id follows it to the store."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ferryman import Client, DaemonError
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def hub() -> Iterator[HubServer]:
    root = Path(tempfile.mkdtemp(prefix="fyhub"))
    server = HubServer(root / "hub", "--log-format", "json").start()
    yield server
    server.stop()
    shutil.rmtree(root)


def _ids(hub: HubServer, what: str) -> list[str]:
    whole = hub.log.read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line["request_id"] for line in lines if line.get("what") == what]


def test_ids_follow(home: Home, hub: HubServer, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    monkeypatch.setenv("FERRYMAN_HUB", hub.url)
    monkeypatch.setenv("FERRYMAN_TOKEN", hub.token("a@x.org"))
    monkeypatch.setattr("ferryman.channel._new_id", _numbers())
    with Client() as client:
        client.connect()
        project = client.create_project("P").project_id
        done = client.upload(table, title="T", owner_type="project", owner_id=project)
        with pytest.raises(DaemonError) as caught:
            client.projects.get("nowhere")
        # What a user is told is what the hub's operator finds.
        wait_for(lambda: caught.value.request_id in hub.log.read_text(), what="the refusal in the hub's log")
        assert caught.value.request_id.startswith("call-")
        (created,) = wait_for(lambda: _ids(hub, "ProjectService/CreateProject"), what="the call in the hub's log")
        assert re.fullmatch(r"call-\d+", created)
        # Steps 7, 8 and 10 of the upload, and its bytes.
        for what in ("ContentService/CreateUpload", "part", "ContentService/CommitUpload"):
            assert set(wait_for(partial(_ids, hub, what), what=f"{what} in the hub's log")) == {done.transfer_id}
    assert f"request_id={done.transfer_id}" in home.log.read_text()


def _numbers() -> Any:
    counted = iter(range(10_000))
    return lambda: f"call-{next(counted)}"
