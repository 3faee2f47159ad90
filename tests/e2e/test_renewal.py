"""Tokens that end, are taken back, or are cut off while they are renewed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ferryman import AsyncClient, Client, DaemonError, Transfer
from tests.support.accounts import (
    EMAIL,
    SHORT_TTL_S,
    SHORT_URL_TTL_S,
    account_hub,
    kept,
    login,
    refreshes,
    renewals_of,
    secrets,
)
from tests.support.crowd import crowd
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.waiting import ended, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SIZE = 48 * MIB
#: How many tokens a transfer outlives.
LIVES = 3
THREADS = 60
TASKS = 140
PROCESSES = 200
#: How often they meet the end of a token.
ROUNDS = 3
#: A token is renewed when four fifths of its life are over, at the earliest.
EARLIEST_S = 0.8 * SHORT_TTL_S


@pytest.fixture
def brief() -> Iterator[HubServer]:
    """Its access tokens live for seconds."""
    with account_hub("--access-ttl", str(SHORT_TTL_S)) as server:
        yield server


def ends_at(home: Home) -> float:
    """When the access token that the daemon keeps expires."""
    return float(kept(home)["expires_at"])


def begun(transfer: Transfer[Any]) -> bool:
    return transfer.info().persisted_bytes > 0


def fresh(client: Client, home: Home) -> dict[str, Any]:
    """A sign-in with so much of its life left that nobody renews it yet."""

    def ask() -> dict[str, Any] | None:
        client.auth.status()
        return kept(home) if ends_at(home) - time.time() > SHORT_TTL_S / 2 else None

    found = wait_for(ask, what="a renewal")
    assert found is not None
    return found


def check_one_refresh(hub: HubServer, spent: dict[str, Any], before: int) -> None:
    """The token that had come to its end was exchanged once; and the next ones, where it took so long to answer all."""
    lives = 1 + int((time.time() - spent["expires_at"]) // EARLIEST_S)
    assert renewals_of(hub, spent["refresh_token"]) == 1
    assert 1 <= refreshes(hub) - before <= lives


def test_two_hundred_callers_at_expiry_cause_one_refresh(client: Client, brief: HubServer, home: Home) -> None:
    login(client, brief)
    project = client.create_project("P").project_id
    spent, before = fresh(client, home), refreshes(brief)
    expiry = float(spent["expires_at"])

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
    check_one_refresh(brief, spent, before)
    assert "refresh_token_reused" not in brief.log.read_text()


def test_transfers_outlive_many_tokens(client: Client, home: Home) -> None:
    with account_hub("--access-ttl", str(SHORT_TTL_S), "--url-ttl", str(SHORT_URL_TTL_S)) as hub:
        login(client, hub)
        owner = {"owner_type": "project", "owner_id": client.create_project("P").project_id}
        old, new = (make_file(home.data / name, SIZE, seed=seed) for seed, name in enumerate(("old", "new")))
        asset_id = client.upload(old, title="Old", **owner, chunk_size_mb=1).asset_id
        client.transfers.set_limits(bandwidth_bps=MIB, parts_in_flight=2)
        down = client.transfers.download(asset_id, home.root / "dl")
        up = client.transfers.upload(new, title="New", **owner, chunk_size_mb=1)
        for moves in (down, up):
            wait_for(partial(begun, moves), timeout_s=120, what="a part")

        before = refreshes(hub)  # nobody but the two transfers calls the hub from here on
        wait_for(lambda: refreshes(hub) - before >= LIVES, timeout_s=120, what="some renewals")
        assert [moves.info().state for moves in (down, up)] == ["running"] * 2
        client.transfers.set_limits(bandwidth_bps=0)
        assert Path(down.wait(timeout_s=120).files[0].local_path).read_bytes() == old.read_bytes()
        again = client.download(up.wait(timeout_s=120).asset_id, home.root / "again")
        assert Path(again.files[0].local_path).read_bytes() == new.read_bytes()
        assert down.info().resent_bytes == 0
        assert home.history(down.id) == home.history(up.id) == ["create", "claim", "complete"]


@pytest.mark.serial
def test_two_hundred_processes_at_expiry_cause_one_refresh(client: Client, brief: HubServer, home: Home) -> None:
    login(client, brief)
    project = client.create_project("P").project_id
    with crowd(PROCESSES, project, home.env) as processes:
        for _ in range(ROUNDS):
            spent = fresh(client, home)
            before = refreshes(brief)
            answers = processes.ask_at(spent["expires_at"])
            assert answers == [project] * PROCESSES
            check_one_refresh(brief, spent, before)
    assert "refresh_token_reused" not in brief.log.read_text()


def test_cut_off_between_reply_and_storage(home: Home, brief: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_CRASHPOINT", "after-refresh-reply")
    with Client() as client:
        login(client, brief)
        (dies,) = home.daemons()
        spent = secrets(home)
        monkeypatch.delenv("FERRYMAN_CRASHPOINT")
        with Client(auto_start=False) as last:  # one that starts no successor, which would renew too
            _use_until(lambda: ended(dies), last)
    assert secrets(home) == spent, "the new pair has not arrived on the disk"
    assert refreshes(brief) == 1, "but the hub has given it"

    with Client() as client:
        assert client.auth.status().user_email == EMAIL
        assert client.create_project("P").project_id
        wait_for(lambda: client.auth.status() and refreshes(brief) >= 2, what="another renewal")
    assert not secrets(home) & spent


def test_cut_off_for_longer_than_the_grace(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with account_hub("--access-ttl", str(SHORT_TTL_S), "--refresh-grace", "0") as hub:
        monkeypatch.setenv("FERRYMAN_CRASHPOINT", "after-refresh-reply")
        with Client() as client:
            login(client, hub)
            (dies,) = home.daemons()
            monkeypatch.delenv("FERRYMAN_CRASHPOINT")
            project = client.create_project("P").project_id
            client.transfers.set_limits(bandwidth_bps=MIB, parts_in_flight=2)
            transfer_id = client.transfers.upload(
                make_file(home.data / "big", SIZE), title="T", owner_type="project", owner_id=project, chunk_size_mb=1
            ).id
            with Client(auto_start=False) as last:  # one that starts no successor, which would renew too
                _use_until(lambda: ended(dies), last)
        with Client() as client:
            # The renewal comes a little before the old access token ends.
            refused = wait_for(lambda: _refusal(client), what="the old access token to end")
            transfer = client.transfers.get(transfer_id)
            wait_for(lambda: transfer.info().waiting_for == "auth", what="it to wait for a sign-in")
            for told in (refused, transfer.info().error):
                assert told is not None
                assert told.reason == "NOT_SIGNED_IN"
                assert hub.url in told.message
            assert transfer.info().state == "paused"
            client.transfers.set_limits(bandwidth_bps=0)
            login(client, hub)
            assert transfer.wait(timeout_s=120)


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
