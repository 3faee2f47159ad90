"""A sweep of a real bucket while others work in it, and after hubs that died at bad moments."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ferryhub.blobs.sweep import GRACE_S, Swept
from ferryhub.catalogue import parts
from ferrywire.reasons import FerryError
from tests.integration.hub_content.rig import Person, running
from tests.integration.hub_content.test_s3 import (
    BIG,
    SMALL,
    WEEK_S,
    Lake,
    ann,
    begun,
    fetched,
    lake,
    part_of,
    put,
    send,
)

__all__ = ["ann", "lake"]

pytestmark = pytest.mark.slow


async def test_a_hub_that_died_before_it_noted_an_upload(
    lake: Lake, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begun(ann, BIG)
    place = await lake.rig.blobs.places.get("lake")
    adopt = parts.adopt_upload

    def die(*_: object) -> None:
        raise FerryError("HUB_OVERLOADED", "as if the hub had died here")

    with monkeypatch.context() as dying:
        dying.setattr(parts, "adopt_upload", die)
        dying.setattr(place.store, "abandon", lambda file: None)
        with pytest.raises(FerryError):
            await ann.sign(session, [part_of(0, BIG, 1)[0]])
    assert (len(lake.uploads), parts.adopt_upload) == (1, adopt)
    lake.rig.clock.ahead_s = GRACE_S + 60
    assert await lake.rig.blobs.sweeper.sweep_once() == Swept(0, 0, 0), "its session is open"
    await send(ann, session, {0: BIG})
    assert len(lake.uploads) == 2
    made = await ann.commit(session, [BIG])
    assert lake.uploads == [], "the commit takes all of its session"
    assert await fetched(ann, made.asset_id) == {"f0": BIG}


async def test_a_hub_that_died_after_the_session_was_settled(lake: Lake, ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG, 1: SMALL})
    place = await lake.rig.blobs.places.get("lake")
    await lake.rig.database.write(_abort, ann, session)
    assert (len(lake.uploads), len(lake.keys)) == (1, 1)
    assert await lake.rig.blobs.sweeper.sweep_once() == Swept(0, 0, 0), "too young"
    lake.rig.clock.ahead_s = GRACE_S + 60
    assert await lake.rig.blobs.sweeper.sweep_once() == Swept(0, 1, 1)
    assert (lake.uploads, lake.keys) == ([], {})
    assert list(place.store.sessions()) == []


def _abort(conn: object, ann: Person, session_id: str) -> None:
    from sqlalchemy import update

    from ferryhub.catalogue import tables as t

    statement = update(t.upload_sessions).where(t.upload_sessions.c.id == session_id).values(state="aborted")
    conn.execute(statement)  # type: ignore[attr-defined]


async def test_what_arrives_after_an_abort_is_swept(lake: Lake, ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    late = [part_of(0, BIG, 1), part_of(1, SMALL, 1)]
    urls = [(await ann.sign(session, [part]))[0] for part, _ in late]
    await ann.abort(session)
    codes = [(await put(ann, url, piece)).status_code for url, (_, piece) in zip(urls, late, strict=True)]
    assert codes == [404, 200], "an upload is closed, a name is not"
    lake.rig.clock.ahead_s = GRACE_S + 60
    await lake.rig.blobs.sweeper.sweep_once()
    assert (lake.uploads, lake.keys) == ([], {})


async def test_commits_between_a_sweeps_list_and_its_deletions(
    lake: Lake, ann: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hub sweeps, the other one commits: at each question that the sweep asks, and all that is stored is old."""
    lake.rig.clock.ahead_s = GRACE_S + 60
    async with running(tmp_path) as second:
        other = Person(second.url, ann.token, ann.project_id)
        second.stack.push_async_callback(other.http.aclose)
        sessions = [await begun(ann, BIG, SMALL) for _ in range(2)]
        for session in sessions:
            await send(ann, session, {0: BIG, 1: SMALL})
        read, waiting, made = lake.rig.database.read, list(sessions), []

        async def read_after_a_commit(question, *rest):  # type: ignore[no-untyped-def]
            answer = await read(question, *rest)
            if waiting and question.__name__ in ("open_among", "referenced"):
                made.append(await other.commit(waiting.pop(), [BIG, SMALL]))
            return answer

        monkeypatch.setattr(lake.rig.database, "read", read_after_a_commit)
        swept = await lake.rig.blobs.sweeper.sweep_once()
        monkeypatch.undo()
        assert (waiting, swept.orphan_blobs) == ([], 0)
        for content in made:
            assert await fetched(ann, content.asset_id) == {"f0": BIG, "f1": SMALL}


async def test_sweeps_and_commits_of_two_hubs_at_once(lake: Lake, ann: Person, tmp_path: Path) -> None:
    lake.rig.clock.ahead_s = GRACE_S + 60
    async with running(tmp_path) as second:
        other = Person(second.url, ann.token, ann.project_id)
        second.stack.push_async_callback(other.http.aclose)
        second.clock.ahead_s = lake.rig.clock.ahead_s
        done = asyncio.Event()

        async def sweep(blobs) -> None:  # type: ignore[no-untyped-def]
            while not done.is_set():
                await blobs.sweeper.sweep_once()

        async def work(person: Person) -> str:
            session = await begun(person, BIG, SMALL)
            await send(person, session, {0: BIG, 1: SMALL})
            return (await person.commit(session, [BIG, SMALL])).asset_id

        async with asyncio.TaskGroup() as group:
            for blobs in (lake.rig.blobs, second.blobs):
                group.create_task(sweep(blobs))
            assets = await asyncio.gather(*(work(person) for person in (ann, other, ann, other)))
            done.set()
        for asset_id in assets:
            assert await fetched(ann, asset_id) == {"f0": BIG, "f1": SMALL}
        assert (len(lake.keys), lake.uploads) == (8, [])


async def test_a_bucket_that_keeps_versions(lake: Lake, ann: Person) -> None:
    client = lake.server.client()
    client.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG, 1: SMALL})
    made = await ann.commit(session, [BIG, SMALL])
    given_up = await begun(ann, BIG, SMALL)
    await send(ann, given_up, {0: BIG, 1: SMALL})
    lake.rig.clock.ahead_s = WEEK_S + 7200
    await lake.rig.blobs.sweeper.sweep_once()
    lake.rig.clock.ahead_s = 0
    assert await fetched(ann, made.asset_id) == {"f0": BIG, "f1": SMALL}
    assert (sorted(lake.keys.values()), lake.uploads) == ([len(SMALL), len(BIG)], [])
    # What the sweep took is still there as an old version, for the bucket's own rules to remove.
    versions = client.list_object_versions(Bucket=lake.bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (3, 1)
