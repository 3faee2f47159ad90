"""Everything that can settle a session, at once: one of them wins, the others say so, and nothing is lost or left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryhub.blobs.signing import PartClaim
from ferryhub.catalogue import tables as t
from ferrywire.reasons import FerryError
from tests.integration.hub_content.rig import PART, Person, Rig, content, digest_of, file_of, running

DAY_S = 24 * 3600.0


async def _outcome(call: Awaitable[Any], delay_s: float = 0.0) -> Any:
    """What a call gives, or the reason why not."""
    await asyncio.sleep(delay_s)
    try:
        return await call
    except FerryError as error:
        return error.reason


async def _books(rig: Rig) -> tuple[tuple[int, int], tuple[int, int]]:
    """(used, reserved) bytes as the allocations say, and as contents and open sessions add up."""

    def sums(conn: Any) -> Any:
        a, s = t.allocations.c, t.upload_sessions.c
        said = conn.execute(select(func.sum(a.used_bytes), func.sum(a.reserved_bytes))).one()
        used = conn.execute(select(func.coalesce(func.sum(t.contents.c.size_bytes), 0))).scalar_one()
        open_ = select(func.coalesce(func.sum(s.total_size_bytes), 0)).where(s.state == "open")
        return tuple(said), (used, conn.execute(open_).scalar_one())

    said, true = await rig.database.read(sums)
    return said, true


async def _referenced(rig: Rig) -> set[str]:
    keys = select(t.content_files.c.blob_key).where(t.content_files.c.blob_key != "")
    return set(await rig.database.read(lambda conn: conn.execute(keys).scalars().all()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_commit_abort_sweep_and_a_late_part(rig: Rig, alice: Person, seed: int) -> None:
    chance = random.Random(seed)
    datas = [content(PART + 1, seed), content(PART, seed + 1), b"", content(5, seed + 2)]
    files = [file_of(f"d/{index}", data) for index, data in enumerate(datas)]
    for _ in range(8):
        made = await alice.create(files)
        session = made.session_id
        await alice.send(session, {0: datas[0], 1: datas[1]})
        part = pb.Part(file_index=3, part_number=1, digest=digest_of(datas[3]))
        (late,) = await alice.sign(session, [part])
        first = pb.Part(file_index=0, part_number=1, digest=digest_of(datas[0][:PART]))
        (again,) = await alice.sign(session, [first])
        if chance.random() < 0.5:
            rig.clock.ahead_s += 8 * DAY_S  # the session is due for the sweep, and no blob is young any more
            late, again = _fresh_urls(rig, session, datas)
        settling = [
            _outcome(alice.commit(session, datas), chance.random() * 0.02),
            _outcome(alice.commit(session, datas), chance.random() * 0.04),
            _outcome(alice.abort(session), chance.random() * 0.04) if chance.random() < 0.5 else _outcome(_nothing()),
            _outcome(rig.blobs.sweeper.sweep_once(), chance.random() * 0.04),
            _outcome(alice.put(late, datas[3]), chance.random() * 0.02),
            _outcome(alice.put(again, datas[0][:PART]), chance.random() * 0.03),
        ]
        one, two, aborted, swept, *_ = await asyncio.gather(*settling)
        assert not isinstance(swept, str), swept
        last = await _outcome(alice.commit(session, datas))
        contents = {made.content_id for made in (one, two, last) if not isinstance(made, str)}
        refusals = {made for made in (one, two, last) if isinstance(made, str)}
        assert len(contents) <= 1
        assert refusals <= {"PARTS_MISSING", "SESSION_NOT_FOUND"}
        if contents:
            assert not isinstance(last, str), "a repeated commit must find what the first one made"
            assert aborted in (None, "SESSION_COMMITTED")
            assert list((await alice.download(made.asset_id)).values()) == datas
        elif last == "SESSION_NOT_FOUND":
            with pytest.raises(FerryError, match="no asset"):
                await alice.asset(made.asset_id)
        said, true = await _books(rig)
        assert said == true
    rig.clock.ahead_s += 16 * DAY_S
    await rig.blobs.sweeper.sweep_once()
    assert {path.name for path in rig.files} == await _referenced(rig)
    said, true = await _books(rig)
    assert said == true
    assert true[1] == 0


async def _nothing() -> None:
    return None


def _fresh_urls(rig: Rig, session: str, datas: list[bytes]) -> list[pb.Location]:
    """URLs that the moved clock has not outdated, made without a call that would renew the session."""
    issuer = rig.blobs.places._own._urls  # type: ignore[attr-defined]
    wanted = [(3, datas[3]), (0, datas[0][:PART])]
    urls = [issuer.put(PartClaim(session, index, 1, len(data), digest_of(data))).url for index, data in wanted]
    return [pb.Location(url=pb.SignedUrl(url=url)) for url in urls]


async def test_versions_of_one_asset_are_counted_one_by_one(rig: Rig, alice: Person) -> None:
    first = await alice.upload({"f": b"0"})
    datas = [bytes([65 + number]) * 3 for number in range(8)]
    sessions = [await alice.create([file_of("f", data)], asset_id=first.asset_id) for data in datas]
    for session, data in zip(sessions, datas, strict=True):
        await alice.send(session.session_id, {0: data})
    done = await asyncio.gather(
        *(alice.commit(session.session_id, [data]) for session, data in zip(sessions, datas, strict=True))
    )
    assert sorted(made.version for made in done) == list(range(2, 10))
    for made, data in zip(done, datas, strict=True):
        assert await alice.download(content_id=made.content_id) == {"f": data}
    newest = max(done, key=lambda made: made.version)
    assert (await alice.asset(first.asset_id)).latest_content_id == newest.content_id


async def test_quota_is_exact_among_many(tmp_path: Path) -> None:
    async with running(tmp_path, quota_bytes=7 * PART + 1) as rig:
        alice = await rig.person("alice@example.org")
        files = [file_of("f", content(PART))]
        opened = await asyncio.gather(*(_outcome(alice.create(files)) for _ in range(20)))
        sessions = [made.session_id for made in opened if not isinstance(made, str)]
        assert (len(sessions), {made for made in opened if isinstance(made, str)}) == (7, {"QUOTA_EXCEEDED"})
        assert await _books(rig) == ((0, 7 * PART), (0, 7 * PART))
        ends = [_outcome(alice.abort(session)) for session in sessions for _ in range(3)]
        starts = [_outcome(alice.create(files)) for _ in range(20)]
        settled = await asyncio.gather(*(pair for both in zip(ends, starts, strict=False) for pair in both), *ends[20:])
        assert {made for made in settled if isinstance(made, str)} <= {"QUOTA_EXCEEDED"}
        said, true = await _books(rig)
        assert said == true
        assert true[1] <= 7 * PART


async def test_the_same_request_many_times_at_once(rig: Rig, alice: Person) -> None:
    project = project_pb.CreateProjectRequest(name="P", alias="the-one", request_id="same")
    projects = await asyncio.gather(
        *(alice.call("CreateProject", project, project_pb.Project, "ProjectService") for _ in range(20))
    )
    assert len({made.project_id for made in projects}) == 1
    files = [file_of("f", b"1")]
    new = alice.new_asset(alias="once")
    sessions = await asyncio.gather(*(alice.create(files, request_id="same", new_asset=new) for _ in range(20)))
    assert len({made.session_id for made in sessions}) == 1


async def test_one_alias_goes_to_one(rig: Rig, alice: Person, bob: Person) -> None:
    people = [alice, bob]
    wanted = [
        _outcome(
            people[number % 2].create(
                [file_of("f", b"1")], new_asset=people[number % 2].new_asset(alias="AbC" if number % 3 else "aBc")
            )
        )
        for number in range(20)
    ]
    made = await asyncio.gather(*wanted)
    assert sorted(str(each) for each in made if isinstance(each, str)) == ["ALIAS_TAKEN"] * 19
    said, true = await _books(rig)
    assert said == true
