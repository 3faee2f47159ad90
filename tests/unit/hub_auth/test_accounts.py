"""The accounts of a running hub, in process: what happens between two steps, and on two replicas at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferryhub.auth import passwords
from ferryhub.auth.oauth import Call, Reply
from ferryhub.auth.options import AuthOptions
from ferryhub.auth.service import Accounts, Person
from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue.account_tables import attempts, refresh_tokens
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.database import Database
from ferrywire.reasons import FerryError
from tests.support.signin import DEVICE_GRANT
from tests.unit.hub.conftest import Catalogue, fails

PASSWORD = "correct horse battery"
OPTIONS = AuthOptions(device_interval_s=0)


class Replica:
    """One of two hubs on one catalogue."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.forgotten = 0
        self.accounts = Accounts(database, OPTIONS, self._forget)

    def _forget(self) -> None:
        self.forgotten += 1

    async def token(self, **form: str) -> Reply:
        return await self.accounts.token(Call({"client_id": "ferryman", **form}, "https://hub", "192.0.2.1"))

    async def refresh(self, refresh_token: str) -> Reply:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token)

    async def poll(self, device_code: str) -> Reply:
        return await self.token(grant_type=DEVICE_GRANT, device_code=device_code)

    async def device(self) -> Any:
        call = Call({"client_id": "ferryman"}, "https://hub", "192.0.2.1")
        return (await self.accounts.device_authorization(call)).body


@pytest.fixture
async def replicas(catalogue: Catalogue) -> AsyncIterator[tuple[Replica, Replica]]:
    other = Database(catalogue.database.url)
    both = Replica(catalogue.database), Replica(other)
    yield both
    for each in both:
        await asyncio.to_thread(each.accounts.close)
    await other.close()


def person(actor: Actor) -> Person:
    return Person(actor.principal_id, actor.email, "")


async def works(catalogue: Catalogue, access_token: str) -> bool:
    try:
        await catalogue.do(tokens.authenticate, tokens.digest(access_token))
    except FerryError as error:
        assert error.reason == "TOKEN_INVALID"
        return False
    return True


async def signed_in(replica: Replica, actor: Actor) -> Any:
    codes = await replica.device()
    assert await replica.accounts.decide(person(actor), codes["user_code"], "192.0.2.1", approve=True)
    return (await replica.poll(codes["device_code"])).body


@pytest.mark.parametrize("change", ["password", "disabled"])
async def test_what_changes_while_a_password_is_checked_counts(
    replicas: tuple[Replica, Replica], catalogue: Catalogue, ann: Actor, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await catalogue.do(passwords.set_password, ann.email, passwords.hashed(PASSWORD))
    check = passwords.PasswordChecker.check

    async def meanwhile(self: passwords.PasswordChecker, *given: Any) -> Any:
        result = await check(self, *given)
        assert result[0]
        if change == "password":
            await catalogue.do(passwords.set_password, ann.email, passwords.hashed("another password"))
        else:
            await catalogue.do(principals.set_disabled, ann.email, True)
        return result

    monkeypatch.setattr(passwords.PasswordChecker, "check", meanwhile)
    assert await replicas[0].accounts.sign_in(ann.email, PASSWORD, "192.0.2.1") is None


async def test_a_code_is_decided_once_by_many_at_once(
    replicas: tuple[Replica, Replica], catalogue: Catalogue, ann: Actor, bob: Actor
) -> None:
    for _ in range(5):
        codes = await replicas[0].device()
        await catalogue.do(lambda conn: conn.execute(attempts.delete()) and None)
        answers = [
            replica.accounts.decide(person(actor), codes["user_code"], "192.0.2.1", approve=approve)
            for replica in replicas
            for actor in (ann, bob)
            for approve in (True, False)
        ]
        async with asyncio.TaskGroup() as tasks:
            polls = [tasks.create_task(replica.poll(codes["device_code"])) for replica in replicas]
            decided = await asyncio.gather(*answers)
        assert decided.count(True) == 1
        after = [await replica.poll(codes["device_code"]) for replica in replicas]
        given = [reply for reply in (*(poll.result() for poll in polls), *after) if reply.status == 200]
        denied = [reply for reply in after if reply.body["error"] == "access_denied"] if not given else []
        assert (len(given), len(denied)) in ((1, 0), (0, 2))


async def test_polls_at_once_give_one_pair(replicas: tuple[Replica, Replica], catalogue: Catalogue, ann: Actor) -> None:
    codes = await replicas[0].device()
    await replicas[1].accounts.decide(person(ann), codes["user_code"], "192.0.2.1", approve=True)
    replies = await asyncio.gather(*[replica.poll(codes["device_code"]) for _ in range(8) for replica in replicas])
    assert sorted(reply.status for reply in replies) == [200] + [400] * 15
    assert await catalogue.count(refresh_tokens) == 1


async def test_refreshes_at_two_replicas_leave_one_pair(
    replicas: tuple[Replica, Replica], catalogue: Catalogue, ann: Actor
) -> None:
    first = await signed_in(replicas[0], ann)
    replies = await asyncio.gather(*[each.refresh(first["refresh_token"]) for _ in range(10) for each in replicas])
    assert {reply.status for reply in replies} == {200}
    alive = [reply.body for reply in replies if await works(catalogue, reply.body["access_token"])]
    assert len(alive) == 1
    # The one that lives can be exchanged, and not one of the others: the first that tries ends everything.
    assert (await replicas[1].refresh(alive[0]["refresh_token"])).status == 200
    lost = next(reply.body for reply in replies if reply.body != alive[0])
    ended = await asyncio.gather(*[each.refresh(lost["refresh_token"]) for each in replicas])
    assert [reply.status for reply in ended] == [400, 400]
    assert not await works(catalogue, alive[0]["access_token"])


async def test_a_thief_and_the_owner_at_once(
    replicas: tuple[Replica, Replica], catalogue: Catalogue, ann: Actor
) -> None:
    """Whoever comes second with what the other has exchanged ends the sign-in; nobody keeps a pair beside the other."""
    for _ in range(5):
        first = await signed_in(replicas[0], ann)
        second = (await replicas[0].refresh(first["refresh_token"])).body
        replies = await asyncio.gather(
            replicas[0].refresh(second["refresh_token"]), replicas[1].refresh(first["refresh_token"])
        )
        pairs = [reply.body for reply in replies if reply.status == 200]
        assert len(pairs) <= 1
        assert not [pair for pair in pairs if await works(catalogue, pair["access_token"])]


@pytest.mark.parametrize("form", [{"grant_type": "refresh_token", "refresh_token": "frt_nonsense"}, {}])
async def test_nonsense_does_not_make_a_hub_forget_its_callers(
    replicas: tuple[Replica, Replica], ann: Actor, form: dict[str, str]
) -> None:
    assert (await replicas[0].token(**form)).status == 400
    await replicas[0].accounts.revoke(Call({"client_id": "ferryman", "token": "fat_x"}, "https://hub", ""))
    assert replicas[0].forgotten == 0
    pair = await signed_in(replicas[0], ann)
    await replicas[0].accounts.revoke(Call({"client_id": "ferryman", "token": pair["access_token"]}, "https://hub", ""))
    assert replicas[0].forgotten == 1


async def test_guesses_at_two_replicas_are_counted_together(replicas: tuple[Replica, Replica], ann: Actor) -> None:
    guesses = [
        each.accounts.find_device(person(ann), f"BBBB-BBB{letter}", "192.0.2.1")
        for letter in "BCDFGHJKLM"
        for each in replicas
    ]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert [getattr(each, "reason", each) for each in results].count("RATE_LIMITED") == 10
    with fails("RATE_LIMITED"):
        await replicas[0].accounts.find_device(person(ann), "BBBB-BBBB", "192.0.2.1")
