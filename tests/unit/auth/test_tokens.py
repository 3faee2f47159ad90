"""The private file of tokens, and one renewal for all who ask."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from ferryd.auth.flights import Flights
from ferryd.auth.oauth import Refused
from ferryd.auth.sign_in import SignIn
from ferryd.auth.tokens import FileTokens, Tokens
from ferryd.core.model import Context
from ferrywire.reasons import FerryError
from tests.support.engine import QuickClock

LAB = Context("lab", "http://lab.example")
OLD = Tokens("fat_old", "frt_old", lifetime_s=3600.0, expires_at=0.0, scopes=("read",))
NEW = Tokens("fat_new", "frt_new", lifetime_s=None, expires_at=None, scopes=("read",))


class Hub:
    """Renews when told to go on, or refuses; counts."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal, self.asked = refusal, 0
        self.going_on = asyncio.Event()

    async def refresh(self, _refresh_token: str) -> Tokens:
        self.asked += 1
        await self.going_on.wait()
        if self.refusal:
            raise Refused(self.refusal)
        return NEW


def sign_in(hub: Hub, store: FileTokens, flights: Flights) -> SignIn:
    return SignIn(LAB, hub, store, flights, QuickClock())  # type: ignore[arg-type] # only `refresh` is used


async def test_a_file_for_this_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await FileTokens(tmp_path / "tokens.json").save(LAB, OLD)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"], "no temporary file stays"
    assert await FileTokens(tmp_path / "tokens.json").load(LAB) == OLD


async def test_a_write_that_fails_leaves_the_old_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileTokens(tmp_path / "tokens.json")
    await store.save(LAB, OLD)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FerryError, match="no space"):
        await store.save(LAB, NEW)
    assert await store.load(LAB) == OLD
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"]


async def test_a_token_never_goes_to_another_hub_of_the_same_name(tmp_path: Path) -> None:
    store = FileTokens(tmp_path / "tokens.json")
    await store.save(LAB, OLD)
    assert await store.load(Context("lab", "http://evil.example")) is None


async def test_a_damaged_file_is_kept_aside_and_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text("{")
    assert await FileTokens(path).load(LAB) is None
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("tokens.json.damaged-")
    path.symlink_to(kept)
    with pytest.raises(FerryError) as refused:
        await FileTokens(path).load(LAB)
    assert refused.value.reason == "IO_ERROR"


def test_tokens_do_not_show_themselves() -> None:
    assert "fat_old" not in repr(OLD)
    assert "frt_old" not in repr(OLD)


async def test_all_who_ask_share_one_renewal_and_none_can_cancel_it(tmp_path: Path) -> None:
    store, hub = FileTokens(tmp_path / "tokens.json"), Hub()
    await store.save(LAB, OLD)
    async with Flights() as flights:
        one = sign_in(hub, store, flights)
        callers = [asyncio.ensure_future(one.token()) for _ in range(200)]
        async with asyncio.timeout(10):
            while not hub.asked:  # noqa: ASYNC110 - the fake hub has no event for it
                await asyncio.sleep(0.001)
        callers[0].cancel()
        hub.going_on.set()
        _, *answers = await asyncio.gather(*callers, return_exceptions=True)
    assert set(answers) == {"fat_new"}
    assert hub.asked == 1
    assert await store.load(LAB) == NEW


async def test_a_refused_renewal_never_erases_a_newer_sign_in(tmp_path: Path) -> None:
    store, hub = FileTokens(tmp_path / "tokens.json"), Hub("invalid_grant")
    await store.save(LAB, OLD)
    async with Flights() as flights:
        one = sign_in(hub, store, flights)
        caller = asyncio.ensure_future(one.token())
        async with asyncio.timeout(10):
            while not hub.asked:  # noqa: ASYNC110 - the fake hub has no event for it
                await asyncio.sleep(0.001)
        await one.replace(NEW)
        hub.going_on.set()
        assert await caller == "fat_new"
    assert await store.load(LAB) == NEW


@pytest.mark.parametrize("theirs", [Tokens("fat_theirs", "frt_theirs"), None], ids=["signed in", "signed out"])
async def test_a_renewal_never_undoes_what_was_done_meanwhile(tmp_path: Path, theirs: Tokens | None) -> None:
    store, hub = FileTokens(tmp_path / "tokens.json"), Hub()
    await store.save(LAB, OLD)
    async with Flights() as flights:
        one = sign_in(hub, store, flights)
        caller = asyncio.ensure_future(one.token())
        async with asyncio.timeout(10):
            while not hub.asked:  # noqa: ASYNC110 - the fake hub has no event for it
                await asyncio.sleep(0.001)
        await (one.replace(theirs) if theirs else one.forget())
        hub.going_on.set()
        (answer,) = await asyncio.gather(caller, return_exceptions=True)
        assert await one.tokens() == theirs
    assert await store.load(LAB) == theirs
    assert answer == "fat_theirs" if theirs else "not signed in" in str(answer)


async def test_a_refused_renewal_signs_out(tmp_path: Path) -> None:
    store, hub = FileTokens(tmp_path / "tokens.json"), Hub("invalid_grant")
    await store.save(LAB, OLD)
    hub.going_on.set()
    async with Flights() as flights:
        with pytest.raises(FerryError) as refused:
            await sign_in(hub, store, flights).token()
    assert refused.value.reason == "NOT_SIGNED_IN"
    assert await store.load(LAB) is None
