"""Upload sessions that meet at several hubs: the quota is counted exactly, nothing is made or committed twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import update

from ferryhub.catalogue import contents, parts, sessions
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import summarise
from ferrywire.digest import of_blocks
from tests.integration.hub_replicas.conftest import Replicas

MIB = 1 << 20
TERMS = Terms(10**12, 1 << 40)
NOW = 1_800_000_000_000_000


def _open(actor: Actor, target: Any, request_id: str, *, size: int = MIB) -> Any:
    new = NewUpload(target, [ManifestFile("f", size, MIB)], size, 1, "", request_id, b"x" * 32)
    return lambda conn: sessions.open_session(conn, actor, new, TERMS, NOW)


async def _filled(replicas: Replicas, actor: Actor, target: Any, request_id: str, fill: bytes) -> Any:
    """A session of one part that is stored, and its summary."""
    session = await replicas.do(_open(actor, target, request_id))
    block = fill * 16
    part = parts.Part(0, 1, of_blocks(block), block)
    await replicas.do(parts.record, session.id, [part], NOW, NOW + TERMS.ttl_us)
    return session, await replicas.do(summarise, session, of_blocks(block))


def _commit(actor: Actor, session: Any, summary: Any) -> Any:
    def commit(conn: Any) -> Any:
        done = contents.commit(
            conn, actor, session.id, summary, key_of=lambda at: f"{session.id}.{at}", published=True, now_us=NOW
        )
        assert done is not None
        return done.content

    return commit


async def _allocation(replicas: Replicas) -> tuple[int, int]:
    (row,) = await replicas.rows(t.allocations)
    return row.reserved_bytes, row.used_bytes


async def test_the_last_of_the_quota_goes_to_as_many_as_it_is_for(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann, quota_bytes=10 * MIB)
    calls = [_open(ann, NewAsset(f"A{at}", "project", project.id), f"u-{at}") for at in range(30)]
    opened = await replicas.at_once(calls)
    assert Counter(each for each in opened if isinstance(each, str)) == {"QUOTA_EXCEEDED": 20}
    assert await _allocation(replicas) == (10 * MIB, 0)
    assert len(await replicas.rows(t.upload_sessions)) == len(await replicas.rows(t.assets)) == 10
    ours = [each for each in opened if not isinstance(each, str)]

    def abort(session: Any) -> Any:
        return lambda conn: sessions.abort(conn, ann, session.id)

    # What is given back is counted once, however often it is given back, and can be had again.
    more = [_open(ann, NewAsset(f"B{at}", "project", project.id), f"v-{at}") for at in range(20)]
    done = await replicas.at_once([*[abort(each) for each in ours[:6] for _ in range(2)], *more])
    opened_later = sum(1 for each in done[12:] if not isinstance(each, str))
    assert await _allocation(replicas) == ((4 + opened_later) * MIB, 0)
    assert opened_later <= 6


async def test_one_request_opens_one_session(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    opened = await replicas.at_once([_open(ann, NewAsset("A", "project", project.id, alias="a"), "u-1")] * 12)
    assert len({row.id for row in opened}) == 1
    assert len(await replicas.rows(t.assets)) == 1
    assert await _allocation(replicas) == (MIB, 0)
    # After an abort the same request opens another one.
    await replicas.do(sessions.abort, ann, opened[0].id)
    again = await replicas.do(_open(ann, NewAsset("A", "project", project.id, alias="a"), "u-1"))
    assert again.id != opened[0].id


async def test_a_commit_at_every_hub_gives_one_content(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    session, summary = await _filled(replicas, ann, NewAsset("A", "project", project.id), "u-1", b"a")
    done = await replicas.at_once([_commit(ann, session, summary)] * 9)
    assert len({row.id for row in done}) == 1
    assert len(await replicas.rows(t.contents)) == len(await replicas.rows(t.content_files)) == 1
    assert await _allocation(replicas) == (0, MIB)


async def test_commits_to_one_asset_are_versions_one_after_the_other(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    first = await _filled(replicas, ann, NewAsset("A", "project", project.id), "u-0", b"0")
    asset_id = first[0].asset_id
    more = [await _filled(replicas, ann, asset_id, f"u-{at}", b"%d" % at) for at in range(1, 6)]
    done = await replicas.at_once([_commit(ann, *each) for each in [first, *more]])
    assert sorted(row.version for row in done) == [1, 2, 3, 4, 5, 6]
    assert await _allocation(replicas) == (0, 6 * MIB)
    newest = max(done, key=lambda row: row.version)
    (asset,) = await replicas.rows(t.assets)
    assert (asset.state, asset.latest_content_id) == ("ready", newest.id)


@pytest.mark.parametrize("turn", range(3))
async def test_commit_against_abort_is_one_of_them(replicas: Replicas, ann: Actor, turn: int) -> None:
    project = await replicas.project(ann)
    session, summary = await _filled(replicas, ann, NewAsset("A", "project", project.id), "u-1", b"a")
    calls = [_commit(ann, session, summary), lambda conn: sessions.abort(conn, ann, session.id)]
    order = 1 if turn % 2 else -1
    committed, aborted = (await replicas.at_once(calls[::order]))[::order]
    if not isinstance(aborted, str):
        assert committed == "SESSION_NOT_FOUND"
        assert (await _allocation(replicas), await replicas.rows(t.assets)) == ((0, 0), [])
    else:
        assert aborted == "SESSION_COMMITTED"
        assert (await _allocation(replicas), committed.version) == ((0, MIB), 1)


@pytest.mark.parametrize("turn", range(3))
async def test_a_draft_is_not_deleted_under_another_upload(replicas: Replicas, ann: Actor, turn: int) -> None:
    project = await replicas.project(ann)
    first = await replicas.do(_open(ann, NewAsset("A", "project", project.id), "u-1"))
    calls = [lambda conn: sessions.abort(conn, ann, first.id), _open(ann, first.asset_id, "u-2")]
    second = (await replicas.at_once(calls if turn % 2 else calls[::-1]))[1 if turn % 2 else 0]
    left = {row.id for row in await replicas.rows(t.assets)}
    if isinstance(second, str):
        assert (second, left) == ("ASSET_NOT_FOUND", set())
    else:
        assert left == {first.asset_id}
        # It is the other session's draft now, and goes with it.
        await replicas.do(sessions.abort, ann, second.id)
        assert await replicas.rows(t.assets) == []


async def test_a_part_recorded_at_two_hubs_is_one_row(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    session = await replicas.do(_open(ann, NewAsset("A", "project", project.id), "u-1", size=4 * MIB))
    block = b"a" * 16
    wanted = [parts.Part(0, number, of_blocks(block), block) for number in (1, 2, 3, 4)]

    def record(at: int) -> Any:
        given = wanted[at % 4 :] + wanted[: at % 4]
        return lambda conn: parts.record(conn, session.id, given, NOW, NOW + TERMS.ttl_us)

    assert await replicas.at_once([record(at) for at in range(12)]) == [None] * 12
    assert sorted(row.part_number for row in await replicas.rows(t.upload_parts)) == [1, 2, 3, 4]


async def test_an_expired_session_is_ended_once(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    session = await replicas.do(_open(ann, NewAsset("A", "project", project.id), "u-1"))
    await replicas.do(lambda conn: conn.execute(update(t.upload_sessions).values(expires_at=1)) and None)
    end = [lambda conn: sessions.abort_expired(conn, session.id, NOW)] * 9
    assert await replicas.at_once(end) == [True] * 9
    assert await _allocation(replicas) == (0, 0)
    assert await replicas.rows(t.assets) == []
