"""Tokens that end, are taken back, or are cut off while they are renewed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ferryman import AsyncClient, Client, DaemonError, Transfer
from tests.support.accounts import EMAIL, SHORT_TTL_S, account_hub, login, refreshes, secrets, token_file
from tests.support.files import MIB
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

THREADS = 60
TASKS = 140


@pytest.fixture
def brief() -> Iterator[HubServer]:
    """Its access tokens live for seconds."""
    with account_hub("--access-ttl", str(SHORT_TTL_S)) as server:
        yield server


def slow_upload(client: Client, path: Path, bandwidth_bps: int = 2 * MIB) -> Transfer:
    """One that is under way and stays so until the limit is lifted."""
    client.transfers.set_limits(bandwidth_bps=bandwidth_bps)
    project = client.create_project("P")
    transfer = client.transfers.upload(
        path, title="big", owner_type="project", owner_id=project.project_id, chunk_size_mb=1
    )
    wait_for(lambda: transfer.info().persisted_bytes > 0, what="a part")
    return transfer


def _waits_for_auth(transfer: Transfer) -> bool:
    return transfer.info().waiting_for == "auth"


def ends_at(home: Home) -> float:
    """When the access token that the daemon keeps expires."""
    (kept,) = json.loads(token_file(home).read_text())["tokens"].values()
    return float(kept["expires_at"])


def test_two_hundred_callers_at_expiry_cause_one_refresh(client: Client, brief: HubServer, home: Home) -> None:
    login(client, brief)
    project = client.create_project("P").project_id
    before, expiry = refreshes(brief), ends_at(home)

    def ask() -> str:
        with Client() as own:
            time.sleep(max(0.0, expiry - time.time()))
            return own.projects.get(project).project_id

    async def ask_all() -> list[str]:
        async with AsyncClient() as one, AsyncClient() as two:
            await asyncio.sleep(max(0.0, expiry - time.time()))
            return [
                found.project_id
                for found in await asyncio.gather(*((one, two)[i % 2].projects.get(project) for i in range(TASKS)))
            ]

    with ThreadPoolExecutor(THREADS + 1) as pool:
        together = pool.submit(asyncio.run, ask_all())
        alone = [pool.submit(ask) for _ in range(THREADS)]
        answers = together.result() + [one.result() for one in alone]

    assert answers == [project] * (THREADS + TASKS)
    assert refreshes(brief) - before == 1
    assert "refresh_token_reused" not in brief.log.read_text()


def test_cut_off_between_reply_and_storage(home: Home, brief: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_CRASHPOINT", "after-refresh-reply")
    with Client() as client:
        login(client, brief)
        (dies,) = home.daemons()
        kept = secrets(home)
        monkeypatch.delenv("FERRYMAN_CRASHPOINT")
        with Client(auto_start=False) as last:  # one that starts no successor, which would renew too
            _use_until(lambda: not dies.is_running() or dies.status() == "zombie", last)
    assert secrets(home) == kept, "the new pair has not arrived on the disk"
    assert refreshes(brief) == 1, "but the hub has given it"

    with Client() as client:
        assert client.auth.status().user_email == EMAIL
        assert client.create_project("P").project_id
        wait_for(lambda: client.auth.status() and refreshes(brief) >= 2, what="another renewal")
    assert not secrets(home) & kept


def test_cut_off_for_longer_than_the_grace(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with account_hub("--access-ttl", str(SHORT_TTL_S), "--refresh-grace", "0") as hub:
        monkeypatch.setenv("FERRYMAN_CRASHPOINT", "after-refresh-reply")
        with Client() as client:
            login(client, hub)
            (dies,) = home.daemons()
            monkeypatch.delenv("FERRYMAN_CRASHPOINT")
            with Client(auto_start=False) as last:  # one that starts no successor, which would renew too
                _use_until(lambda: not dies.is_running() or dies.status() == "zombie", last)
        with Client() as client:
            # The renewal comes a little before the old access token ends.
            refused = wait_for(lambda: _refusal(client), what="the old access token to end")
            assert refused is not None
            assert refused.reason == "NOT_SIGNED_IN"
            assert hub.url in refused.message
            login(client, hub)
            assert client.create_project("P").project_id


def _refusal(client: Client) -> DaemonError | None:
    try:
        client.create_project("P")
    except DaemonError as error:
        return error
    return None


def _use_until(happened: Callable[[], bool], client: Client) -> None:
    """Ask for something now and then until it has happened; that a daemon dies meanwhile is expected."""

    def use() -> bool:
        if happened():
            return True
        try:
            client.auth.status()
        except DaemonError as error:
            assert error.code in ("unavailable", "unauthenticated"), error
        return happened()

    wait_for(use, what="the daemon to die")
