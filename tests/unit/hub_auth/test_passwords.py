"""Passwords: argon2 off the loop and bounded; unknown accounts cost the same; old hashes are replaced."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from ferryhub.auth import passwords
from ferryhub.auth.passwords import PasswordChecker
from ferryhub.catalogue import principals
from ferryhub.catalogue.actor import Actor
from tests.unit.hub.conftest import Catalogue, fails

PASSWORD = "correct horse battery"


@pytest.fixture
async def checker() -> AsyncIterator[PasswordChecker]:
    checker = PasswordChecker()
    yield checker
    await asyncio.to_thread(checker.close)


async def test_right_and_wrong(checker: PasswordChecker) -> None:
    kept = passwords.hashed(PASSWORD)
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept
    assert await checker.check(PASSWORD, kept) == (True, None)
    for wrong in ("", PASSWORD + "x", PASSWORD[:-1], "x" * 100_000, "\udcff"):
        assert await checker.check(wrong, kept) == (False, None)


async def test_same_letters_written_differently(checker: PasswordChecker) -> None:
    kept = passwords.hashed(unicodedata.normalize("NFC", "Königsstraße 12"))
    assert (await checker.check(unicodedata.normalize("NFD", "Königsstraße 12"), kept))[0]


async def test_an_account_without_a_password_costs_a_hash_too(
    checker: PasswordChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords.warm_up()
    verified: list[str] = []
    verify = PasswordHash.verify_and_update

    def counting(self: PasswordHash, password: str, kept: str) -> tuple[bool, str | None]:
        verified.append(kept)
        return verify(self, password, kept)

    monkeypatch.setattr(PasswordHash, "verify_and_update", counting)
    assert await checker.check(PASSWORD, None) == (False, None)
    kept = passwords.hashed(PASSWORD)
    assert (await checker.check(PASSWORD, kept))[0]
    # The same parameters, so the same work: everything before the salt is equal.
    assert [each.split("$")[1:4] for each in verified] == [kept.split("$")[1:4]] * 2


async def test_weaker_hash_is_replaced(checker: PasswordChecker, catalogue: Catalogue, ann: Actor) -> None:
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)).hash(PASSWORD)
    await catalogue.do(passwords.set_password, ann.email, weak)
    right, better = await checker.check(PASSWORD, weak)
    assert right
    assert better is not None
    await catalogue.do(passwords.replace_hash, ann.principal_id, "another", better)
    assert await catalogue.do(passwords.kept_hash, ann.principal_id) == weak
    await catalogue.do(passwords.replace_hash, ann.principal_id, weak, better)
    assert await catalogue.do(passwords.kept_hash, ann.principal_id) == better
    assert await checker.check(PASSWORD, better) == (True, None)


async def test_few_at_once_the_rest_waits_and_too_many_are_refused(
    checker: PasswordChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords.warm_up()
    go, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def slow(_self: PasswordHash, _password: str, _kept: str) -> tuple[bool, None]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        assert threading.current_thread() is not threading.main_thread()
        assert go.wait(20)
        with lock:
            running[0] -= 1
        return True, None

    monkeypatch.setattr(PasswordHash, "verify_and_update", slow)
    async with asyncio.TaskGroup() as tasks:
        checks = [tasks.create_task(checker.check("p", "k")) for _ in range(32)]
        await asyncio.sleep(0)
        with fails("HUB_OVERLOADED"):
            await checker.check("p", "k")
        go.set()
    assert {check.result() for check in checks} == {(True, None)}
    assert most[0] <= 2
    assert await checker.check("p", "k") == (True, None)


async def test_only_users_have_passwords(catalogue: Catalogue) -> None:
    kept = PasswordHasher(1, 8, 1).hash(PASSWORD)
    for kind in ("bot", "group"):
        await catalogue.do(principals.add, kind, f"a-{kind}")
        with fails("INVALID_ARGUMENT", field="password"):
            await catalogue.do(passwords.set_password, f"a-{kind}", kept)


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_bad_new_passwords(password: str) -> None:
    with fails("INVALID_ARGUMENT", field="password"):
        passwords.hashed(password)
