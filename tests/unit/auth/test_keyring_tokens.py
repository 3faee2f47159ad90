"""Tokens in a keyring: only in a safe one, never waited for without end, and in the order in which they came.

The backends are made here, on the base class of the package `keyring`, as a desktop's would be.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from importlib import import_module
from typing import Any

import pytest

from ferryd.auth.keyring_tokens import KeyringTokens
from ferryd.auth.tokens import Tokens
from ferryd.core.model import Context
from ferrywire.reasons import FerryError

LAB = Context("lab", "http://lab.example")
OTHER = Context("other", "http://other.example")
OLD = Tokens("fat_old_secret", "frt_old_secret", lifetime_s=3600.0, expires_at=1.8e9, scopes=("read", "write"))
NEW = Tokens("fat_new_secret", "frt_new_secret")


class Desktop:
    """A keyring that keeps what it is given, and may be locked or small. Counts who is inside at once."""

    priority = 5.0

    def __init__(self, size_bytes: int = 1 << 20) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.calls = 0
        self.threads: set[threading.Thread] = set()
        self._size_bytes = size_bytes

    def get_password(self, service: str, user: str) -> str | None:
        self._enter()
        return self.kept.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        self._enter()
        if len(password) > self._size_bytes:
            raise OSError(1783, f"The stub received bad data: {password}")
        self.kept[service, user] = password

    def delete_password(self, service: str, user: str) -> None:
        self._enter()
        del self.kept[service, user]

    def _enter(self) -> None:
        self.calls += 1
        self.threads.add(threading.current_thread())
        self.entered.set()
        self.open.wait(60)


async def unavailable(work: Any) -> FerryError:
    with pytest.raises(FerryError) as caught:
        await work
    assert caught.value.reason == "KEYRING_UNAVAILABLE"
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "Unlock the keyring" in caught.value.row.next_step
    assert "token_store" in caught.value.row.next_step
    return caught.value


async def test_each_hub_has_its_own_and_no_file_is_made() -> None:
    desktop = Desktop()
    store = KeyringTokens(lambda: desktop)
    assert await store.load(LAB) is None
    await store.save(LAB, OLD)
    await store.save(OTHER, NEW)
    assert (await store.load(LAB), await store.load(OTHER)) == (OLD, NEW)
    assert await store.load(Context("lab", "http://evil.example")) is None
    await store.delete(LAB)
    await store.delete(LAB)
    assert (await store.load(LAB), await store.load(OTHER)) == (None, NEW)


def backend(module: str, name: str = "Keyring", priority: float = 5.0, base: type = Desktop) -> Any:
    return type(name, (base,), {"__module__": module, "priority": priority})()


class _Broken(Desktop):
    @property
    def priority(self) -> float:  # type: ignore[override] # as a backend that finds its service gone
        raise RuntimeError("no service for fat_old_secret")


PLAINTEXT = backend("keyrings.alt.file", "PlaintextKeyring")


@pytest.mark.parametrize(
    "unsafe",
    [
        PLAINTEXT,
        backend("keyrings.alt.file", "PlaintextKeyring", 0.5),
        backend("somebody.elses", "Vault", 9.0, base=type(PLAINTEXT)),
        backend("keyring.backends.fail", priority=0),
        backend("keyring.backends.null", priority=-1),
        backend("keyring.backends.null", priority=9),
        backend("somebody.elses", priority=0.5),
        _Broken(),
        object(),
    ],
    ids=lambda one: f"{type(one).__module__}.{type(one).__name__}",
)
async def test_an_unsafe_keyring_gets_nothing(unsafe: Any) -> None:
    store = KeyringTokens(lambda: unsafe)
    for work in (store.load(LAB), store.save(LAB, OLD), store.delete(LAB)):
        await unavailable(work)
    assert getattr(unsafe, "kept", {}) == {}


@pytest.mark.parametrize("name", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"])
async def test_the_real_backends_that_keep_nothing(name: str) -> None:
    keyring = pytest.importorskip("keyring")
    before = keyring.get_keyring()
    module, _, kind = name.rpartition(".")
    keyring.set_keyring(getattr(import_module(module), kind)())
    try:
        await unavailable(KeyringTokens().save(LAB, OLD))
    finally:
        keyring.set_keyring(before)


async def test_of_a_chain_the_first_counts_alone() -> None:
    good, chain = Desktop(), type("ChainerBackend", (), {"__module__": "keyring.backends.chainer", "priority": 10})()
    chain.backends = [PLAINTEXT, good]
    await unavailable(KeyringTokens(lambda: chain).save(LAB, OLD))
    chain.backends = [good, PLAINTEXT]
    await KeyringTokens(lambda: chain).save(LAB, OLD)
    assert len(good.kept) == 1
    chain.backends = []
    await unavailable(KeyringTokens(lambda: chain).load(LAB))
    assert PLAINTEXT.kept == {}


async def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert 'pip install "/path/to/ferryman[keyring]"' in (await unavailable(KeyringTokens().load(LAB))).message


async def test_a_keyring_too_small_keeps_the_old_and_repeats_no_secret() -> None:
    desktop = Desktop(size_bytes=200)
    store = KeyringTokens(lambda: desktop)
    await store.save(LAB, NEW)
    await unavailable(store.save(LAB, Tokens("fat_" + "secret" * 100)))
    assert await store.load(LAB) == NEW


@pytest.mark.parametrize("held", ["{", "[]", '"x"', json.dumps({"access_token": ""})])
async def test_what_is_damaged_counts_as_signed_out_so_that_signing_in_helps(held: str) -> None:
    desktop = Desktop()
    store = KeyringTokens(lambda: desktop)
    await store.save(LAB, OLD)
    (key,) = desktop.kept
    desktop.kept[key] = held
    assert await store.load(LAB) is None
    await store.save(LAB, NEW)
    assert await store.load(LAB) == NEW


async def test_a_locked_keyring_is_waited_for_only_so_long_and_by_one_thread() -> None:
    desktop = Desktop()
    store = KeyringTokens(lambda: desktop, timeout_s=0.05)
    desktop.open.clear()
    errors = [await unavailable(store.load(LAB)) for _ in range(12)]
    assert "locked" in errors[0].message
    waiting = len(desktop.threads)
    desktop.open.set()
    assert waiting <= 1, "transfers ask for days, and none of these threads ends before somebody unlocks it"


async def test_after_the_lock_what_nobody_waits_for_any_more_is_left_out() -> None:
    """A sign-out that timed out must not erase the sign-in that came after it."""
    desktop = Desktop()
    store = KeyringTokens(lambda: desktop, timeout_s=0.05)
    await KeyringTokens(lambda: desktop).save(LAB, OLD)
    desktop.entered.clear()
    desktop.open.clear()
    await unavailable(store.load(OTHER))  # it is inside, and waits
    await unavailable(store.delete(LAB))
    await unavailable(store.save(LAB, OLD))
    patient = asyncio.ensure_future(KeyringTokens.save(_patient(store), LAB, NEW))
    await asyncio.sleep(0)
    desktop.open.set()
    await patient
    assert await store.load(LAB) == NEW
    assert len(desktop.kept) == 1


def _patient(store: KeyringTokens) -> KeyringTokens:
    store._timeout_s = 30.0
    return store


async def test_what_was_begun_lands_before_what_came_later() -> None:
    desktop = Desktop()
    store = KeyringTokens(lambda: desktop, timeout_s=0.05)
    desktop.open.clear()
    await unavailable(store.save(LAB, OLD))
    later = asyncio.ensure_future(_patient(store).save(LAB, NEW))
    await asyncio.sleep(0)
    desktop.open.set()
    await later
    assert await store.load(LAB) == NEW
