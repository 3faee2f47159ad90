"""The sweep: what it removes, and above all what it leaves alone. Time is the test's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select, update

from ferryhub.auth import limits
from ferryhub.blobs import sweep
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.blobs.places import Place, Places
from ferryhub.blobs.store import StagedFile, Stored, blob_key
from ferryhub.blobs.sweep import GRACE_S, Swept
from ferryhub.catalogue import contents, locations
from ferryhub.catalogue.account_tables import attempts
from ferryhub.catalogue.locations import StorageLocation
from ferryhub.catalogue.tables import upload_sessions
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.contract.blob_store_suite import put_all
from tests.integration.hub_content.rig import PART, Person, Rig, content, file_of

DAY_S = 24 * 3600
WEEK_S = 7 * DAY_S
DATA = content(PART + 1)


async def test_an_expired_session_goes_with_its_draft_alias_and_bytes(rig: Rig, alice: Person) -> None:
    asset = alice.new_asset(alias="wanted")
    session = await alice.create([file_of("f", DATA)], new_asset=asset)
    await alice.send(session.session_id, {0: DATA})
    rig.clock.ahead_s = WEEK_S - 60
    assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 0
    rig.clock.ahead_s = WEEK_S + 60
    assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 1
    assert rig.files == []
    with pytest.raises(FerryError) as caught:
        await alice.stored(session.session_id)
    assert caught.value.reason == "SESSION_NOT_FOUND"
    made = await alice.upload({"f": DATA}, new_asset=asset)
    assert made.version == 1
    assert await rig.blobs.sweeper.sweep_once() == Swept(0, 0, 0)


async def test_a_session_that_cannot_be_removed_does_not_keep_the_others(
    rig: Rig, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = (await alice.create([file_of("f", DATA)])).session_id
    for _ in range(2):
        await alice.send((await alice.create([file_of("f", DATA)])).session_id, {0: DATA})
    discard = LocalBlobStore.discard

    def refuse(self: LocalBlobStore, session_id: str) -> None:
        if session_id == stuck:
            raise FerryError("IO_ERROR", "the disk refused", path="")
        discard(self, session_id)

    monkeypatch.setattr(LocalBlobStore, "discard", refuse)
    rig.clock.ahead_s = WEEK_S + 60
    assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 2
    monkeypatch.undo()
    await rig.blobs.sweeper.sweep_once()
    assert rig.files == []


async def test_sessions_of_a_store_that_is_away_do_not_keep_the_others(
    rig: Rig, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = StorageLocation("lost", "s3", {"bucket": "b", "endpoint": "http://127.0.0.1:9"})
    await rig.database.write(locations.add, lost)
    for _ in range(4):
        await alice.send((await alice.create([file_of("f", DATA)])).session_id, {0: DATA})

    def move(conn: Connection) -> None:
        """The three that will be the first to expire."""
        oldest = select(upload_sessions.c.id).order_by(upload_sessions.c.expires_at).limit(3)
        conn.execute(update(upload_sessions).where(upload_sessions.c.id.in_(oldest)).values(storage_location="lost"))

    await rig.database.write(move)
    tried = []
    get = Places.get

    async def count(self: Places, name: str) -> Place:
        tried.append(name)
        if name == "lost":
            raise FerryError("HUB_OVERLOADED", "it cannot be reached", retry_after_s=1.0)
        return await get(self, name)

    monkeypatch.setattr(Places, "get", count)
    monkeypatch.setattr(sweep, "_SESSIONS_AT_ONCE", 2)
    rig.clock.ahead_s = WEEK_S + 60
    assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 1
    assert tried.count("lost") == 2, "once for sessions, once for what nobody knows"
    states = await rig.database.read(lambda conn: conn.execute(select(upload_sessions.c.state)).scalars().all())
    assert states == ["aborted"] * 3, "their space is given back"


async def test_names_are_asked_for_as_they_are_listed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket may hold more names than fit in memory."""
    listed, asked, removed = 0, [], []

    def blobs(_: LocalBlobStore) -> Iterator[Stored]:
        nonlocal listed
        for index in range(3000):
            listed += 1
            yield Stored(blob_key(new_id("upl"), index), 0.0)

    def referenced(_: Connection, keys: list[str]) -> set[str]:
        asked.append(listed)
        return set(keys[1:])

    monkeypatch.setattr(LocalBlobStore, "blobs", blobs)
    monkeypatch.setattr(LocalBlobStore, "delete", lambda _, key: removed.append(key))
    monkeypatch.setattr(contents, "referenced", referenced)
    assert await rig.blobs.sweeper.sweep_once() == Swept(0, 0, len(asked))
    assert asked[0] < 1000
    assert len(removed) == len(asked) == len(set(asked))


async def test_what_is_over_goes_too(rig: Rig) -> None:
    await rig.database.write(limits.take, [(limits.BY_ACCOUNT, "ann@x.org")])
    for ahead_s, left in ((limits.BY_ACCOUNT.window_s - 60, 1), (limits.BY_ACCOUNT.window_s, 0)):
        rig.clock.ahead_s = ahead_s
        await rig.blobs.sweeper.sweep_once()
        assert len(await rig.database.read(lambda conn: conn.execute(attempts.select()).all())) == left


@pytest.mark.parametrize("use", ["list", "sign", "put"])
async def test_using_a_session_keeps_it(rig: Rig, alice: Person, use: str) -> None:
    session = (await alice.create([file_of("f", DATA)])).session_id
    for _ in range(3):
        rig.clock.ahead_s += 6 * DAY_S
        if use == "list":
            await alice.stored(session)
        else:
            assert (await alice.send_part(session, 0, 1 if use == "put" else 2, DATA)).status_code == 200
        assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 0
    await alice.send(session, {0: DATA})
    assert (await alice.commit(session, [DATA])).version == 1


async def test_a_committed_session_leaves_its_content(rig: Rig, alice: Person) -> None:
    made = await alice.upload({"f": DATA})
    kept = rig.files
    rig.clock.ahead_s = WEEK_S + 60
    assert (await rig.blobs.sweeper.sweep_once()).expired_sessions == 1
    rig.clock.ahead_s = 0
    assert rig.files == kept
    assert await alice.download(made.asset_id) == {"f": DATA}


async def test_orphans_go_after_their_grace_and_nothing_else_does(rig: Rig, alice: Person) -> None:
    store = rig.blobs.places._own.store
    staged, published = StagedFile(new_id("upl"), 0, MIB), StagedFile(new_id("upl"), 0, MIB)
    for file in (staged, published):
        put_all(store, file, content(MIB))  # type: ignore[arg-type]
    store.publish([published])
    made = await alice.upload({"f": DATA})
    open_session = (await alice.create([file_of("f", DATA)])).session_id
    await alice.send(open_session, {0: DATA})
    assert await rig.blobs.sweeper.sweep_once() == Swept(0, 0, 0), "young ones may be somebody's work"
    rig.clock.ahead_s = GRACE_S + 60
    swept = await rig.blobs.sweeper.sweep_once()
    assert (swept.orphan_stagings, swept.orphan_blobs) == (2, 1), "the published one's empty staging goes as well"
    rig.clock.ahead_s = 0
    assert await alice.download(made.asset_id) == {"f": DATA}
    assert (await alice.commit(open_session, [DATA])).version == 1


async def test_blobs_of_a_commit_cut_short_are_left_to_their_session(rig: Rig, alice: Person) -> None:
    session = (await alice.create([file_of("f", DATA)])).session_id
    await alice.send(session, {0: DATA})
    rig.blobs.places._own.store.publish([StagedFile(session, 0, len(DATA))])
    rig.clock.ahead_s = DAY_S
    assert (await rig.blobs.sweeper.sweep_once()).orphan_blobs == 0
    made = await alice.commit(session, [DATA])
    rig.clock.ahead_s = 0
    assert await alice.download(made.asset_id) == {"f": DATA}


async def test_a_commit_at_the_last_moment_can_be_repeated_after_a_sweep(rig: Rig, alice: Person) -> None:
    data = content(PART)
    session = (await alice.create([file_of("f", data)])).session_id
    await alice.send(session, {0: data})
    rig.clock.ahead_s += 7 * 24 * 3600 - 60
    made = await alice.commit(session, [data])
    rig.clock.ahead_s += 3600
    await rig.blobs.sweeper.sweep_once()
    assert await alice.commit(session, [data]) == made


async def test_a_sweep_that_fails_is_told_and_the_next_one_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What an operator's database or store does is a line; only a mistake of ours shows where it was made."""
    failures = iter([FerryError("HUB_OVERLOADED", "the database is away"), LookupError("a mistake")])
    swept = asyncio.Event()

    async def sweep_once() -> Swept:
        for failure in failures:
            raise failure
        swept.set()
        return Swept(0, 0, 0)

    monkeypatch.setattr(rig.blobs.sweeper, "sweep_once", sweep_once)
    monkeypatch.setattr(rig.blobs.sweeper, "_interval_s", 0.01)
    running = asyncio.ensure_future(rig.blobs.sweeper.run())
    await swept.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    told = [record for record in caplog.records if record.message.startswith("sweep_failed")]
    assert [record.exc_info is None for record in told] == [True, False]
    assert "the database is away" in told[0].message
