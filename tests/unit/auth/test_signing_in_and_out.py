"""Changes of a sign-in whose caller leaves in the middle, and what the daemon's end leaves of a renewal."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ferryapi.hub.v1 import access_service_pb2 as access_pb
from ferryd.auth import flights as flights_module
from ferryd.auth.accounts import Accounts, Embedded
from ferryd.auth.connections import Connections, Surroundings
from ferryd.auth.contexts import Contexts
from ferryd.auth.flights import Flights
from ferryd.auth.oauth import OAuth
from ferryd.auth.sign_in import SignIn
from ferryd.auth.tokens import FileTokens, Tokens
from ferryd.core.clock import SystemClock
from ferryd.core.model import Context
from ferryd.remote.http import HttpTransport
from ferryd.remote.transport import Transport
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, Request, answer
from tests.unit.auth.test_oauth import PAIR, SECRET, said

LAB = Context("lab", "http://lab.example")
OLD = Tokens("fat_old_secret", "frt_old_secret", lifetime_s=3600.0, expires_at=4e9, scopes=("read",))
ENDED = Tokens("fat_old_secret", "frt_old_secret", lifetime_s=3600.0, expires_at=1.0, scopes=("read",))
NEW = Tokens("fat_new_secret")


async def cut_off(work: Awaitable[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancel it while it writes, and let the write go on."""
    begun, going_on, fsync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        begun.set()
        going_on.wait(30)
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", slow)
        caller = asyncio.ensure_future(work)
        await asyncio.to_thread(begun.wait)
        caller.cancel()
        await asyncio.wait([caller])
        going_on.set()
    assert caller.cancelled()
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))  # whatever goes on without it


@pytest.fixture
def store(tmp_path: Path) -> FileTokens:
    return FileTokens(tmp_path / "tokens.json")


def sign_in(store: FileTokens, flights: Flights, oauth: OAuth | None = None) -> SignIn:
    return SignIn(LAB, oauth, store, flights, SystemClock())  # type: ignore[arg-type] # not asked where it is None


async def test_who_leaves_while_signing_out_is_signed_out(store: FileTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.save(LAB, OLD)
    async with Flights() as flights:
        one = sign_in(store, flights)
        assert await one.token() == OLD.access_token
        await cut_off(one.forget(), monkeypatch)
        with pytest.raises(FerryError) as out:
            await one.token()
    assert out.value.reason == "NOT_SIGNED_IN"
    assert await store.load(LAB) is None


async def test_who_leaves_while_signing_in_is_signed_in(store: FileTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.save(LAB, OLD)
    async with Flights() as flights:
        one = sign_in(store, flights)
        assert await one.token() == OLD.access_token
        await cut_off(one.replace(NEW), monkeypatch)
        assert await one.token() == (await _kept(store)).access_token == NEW.access_token


async def test_who_leaves_while_signing_in_leaves_a_whole_sign_in(
    store: FileTokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a token without its context, or transfers that wait for a sign-in that has happened."""
    resumed: list[Context] = []

    async def resume(context: Context) -> int:
        resumed.append(context)
        return 1

    whose = access_pb.Identity(principal_id="usr_1", email="ada@example.org", scopes=["read"])
    reply = answer(200, whose.SerializeToString(), Content_Type="application/proto")
    contexts = Contexts(tmp_path / "contexts.json", None)
    with ByteServer(script=[reply]) as server:
        async with Flights() as flights:
            surroundings = Surroundings(_no_embedded, "", store, flights, SystemClock())
            accounts = Accounts(
                contexts,
                Connections(contexts, surroundings),
                Embedded("usr_0", "me@here"),
                SystemClock(),
                storage="file",
                resume=resume,
            )
            await cut_off(accounts.login_with_token(server.url, "lab", NEW.access_token, ""), monkeypatch)
            lab = Context("lab", server.url)
    assert (contexts.current, contexts.user_email(lab), resumed) == (lab, "ada@example.org", [lab])
    assert await store.load(lab) is not None


def _no_embedded() -> Transport:
    raise AssertionError("nobody asks the embedded hub")


async def _kept(store: FileTokens) -> Tokens:
    kept = await store.load(LAB)
    assert kept is not None
    return kept


async def _renewal(
    store: FileTokens, server: ByteServer, meanwhile: Callable[[], None] = lambda: None
) -> asyncio.Future[str]:
    """Begin a renewal, and end the daemon's flights while the hub has it."""
    await store.save(LAB, ENDED)
    http = HttpTransport(server.url)
    async with Flights() as flights:
        caller = asyncio.ensure_future(sign_in(store, flights, OAuth(http, server.url)).token())
        async with asyncio.timeout(30):
            while not server.seen:  # noqa: ASYNC110 - the server is in other threads
                await asyncio.sleep(0.005)
        meanwhile()
    await http.close()
    return caller


async def test_at_its_end_the_daemon_waits_for_a_renewal_a_little(store: FileTokens) -> None:
    going_on = threading.Event()

    def late(request: Request) -> bool:
        going_on.wait(30)
        return said(200, **PAIR)(request)

    with ByteServer(script=[late]) as server:
        caller = await _renewal(store, server, going_on.set)
        assert await caller == SECRET
    kept = await _kept(store)
    assert (kept.access_token, kept.renewing) == (SECRET, False)


async def test_a_renewal_that_takes_too_long_is_cut_off_and_marked(
    store: FileTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next daemon sees that the refresh token may be spent, and repeats it within the hub's grace."""
    monkeypatch.setattr(flights_module, "_GRACE_S", 0.05)

    def never(request: Request) -> bool:
        request.server.quitting.wait(60)
        return False

    with ByteServer(script=[never]) as server:
        caller = await _renewal(store, server)
        with pytest.raises(asyncio.CancelledError):
            await caller
    kept = await _kept(store)
    assert (kept.access_token, kept.renewing) == (ENDED.access_token, True)


async def test_a_renewal_marked_as_begun_is_repeated_at_start(store: FileTokens) -> None:
    await store.save(LAB, Tokens("fat_old_secret", "frt_old_secret", 3600.0, 4e9, ("read",), renewing=True))
    with ByteServer(script=[said(200, **PAIR)]) as server:
        http = HttpTransport(server.url)
        async with Flights() as flights:
            await sign_in(store, flights, OAuth(http, server.url)).recover()
        await http.close()
    kept = await _kept(store)
    assert (kept.access_token, kept.renewing) == (SECRET, False)


async def test_a_failure_inside_is_not_hidden_by_the_wait() -> None:
    with pytest.raises(BaseExceptionGroup) as group:
        async with Flights():
            raise LookupError("the daemon could not start")
    assert group.group_contains(LookupError)
