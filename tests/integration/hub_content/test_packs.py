"""Small files that go to a store as one object: what a pack may be, what is lost with it, and who reads it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs import served
from ferryhub.blobs.localfs import LocalPartWriter
from ferryhub.blobs.localreader import LocalBlobReader
from ferryhub.blobs.served import ServedPlace
from ferryhub.blobs.sweep import GRACE_S, Swept
from ferryhub.catalogue import contents
from ferrywire.parts import MIB, part_count
from ferrywire.reasons import FerryError
from tests.contract.test_s3_store import crc
from tests.integration.hub_content.rig import Person, Rig, content, file_of, running
from tests.integration.hub_content.test_s3 import (
    BIG,
    PART,
    WEEK_S,
    Lake,
    begun,
    part_of,
    put,
    record,
    use_bucket,
)
from tests.integration.hub_content.test_verify import verify
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow

SMALL = [content(1000, seed=seed) for seed in range(4)]
PACK_BYTES = 8 * MIB


class Own:
    """A hub that keeps bytes in its own files; as `Lake`."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    @property
    def keys(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self.rig.files}

    def spoil(self, key: str, body: bytes | None) -> None:
        [path] = [path for path in self.rig.files if path.name == key]
        path.unlink()
        if body is not None:
            path.write_bytes(body)


class Bucket(Lake):
    """A hub that keeps them in a bucket."""

    def spoil(self, key: str, body: bytes | None) -> None:
        client, where = self.server.client(), {"Bucket": self.bucket, "Key": f"pre/{key}"}
        client.delete_object(**where) if body is None else client.put_object(**where, Body=body)


Place = Own | Bucket


@pytest.fixture(params=["own", "bucket"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    async with running(tmp_path) as rig:
        if request.param == "own":
            yield Own(rig)
            return
        server: S3Server = request.getfixturevalue("weed_server")
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        bucket = await asyncio.to_thread(server.bucket)
        await use_bucket(rig, server, bucket, pack_bytes=PACK_BYTES)
        yield Bucket(rig, server, bucket)


@pytest.fixture
async def ann(place: Place) -> Person:
    return await somebody(place.rig)


async def somebody(rig: Rig) -> Person:
    person = await rig.person("ann@x.org")
    person.http.base_url = httpx.URL(person.url)  # URLs of the hub itself are relative
    return person


def pack_of(datas: dict[int, bytes]) -> tuple[list[pb.Part], pb.Pack, bytes]:
    """The parts without CRCs of their own, which nobody needs, and what they are together."""
    parts = [part_of(index, data, 1)[0] for index, data in datas.items()]
    for part in parts:
        part.ClearField("crc64nvme")
    body = b"".join(datas.values())
    return parts, pb.Pack(crc64nvme=crc(body)), body


async def sign_pack(person: Person, session: str, parts: Sequence[pb.Part], pack: pb.Pack) -> pb.Location:
    request = pb.SignPartsRequest(session_id=session, parts=parts, pack=pack)
    (location,) = (await person.call("SignParts", request, pb.SignPartsResponse)).locations
    return location


async def record_pack(person: Person, session: str, parts: Sequence[pb.Part], pack: pb.Pack) -> None:
    request = pb.RecordPartsRequest(session_id=session, parts=parts, pack=pack)
    await person.call("RecordParts", request, pb.RecordPartsResponse)


async def put_pack(person: Person, session: str, datas: dict[int, bytes]) -> tuple[list[pb.Part], pb.Pack]:
    """Sent, and nobody told of it."""
    parts, pack, body = pack_of(datas)
    assert (await put(person, await sign_pack(person, session, parts, pack), body)).status_code == 200
    return parts, pack


async def send_pack(person: Person, session: str, datas: dict[int, bytes]) -> None:
    parts, pack, body = pack_of(datas)
    answer = await put(person, await sign_pack(person, session, parts, pack), body)
    assert answer.status_code in (200, 412), answer.text  # it may be there
    await record_pack(person, session, parts, pack)


async def send_alone(person: Person, session: str, index: int, data: bytes) -> None:
    for number in range(1, part_count(len(data), PART) + 1):
        part, piece = part_of(index, data, number)
        (to,) = await person.sign(session, [part])
        answer = await person.http.put(to.url.url, content=piece, headers=dict(to.url.headers))
        assert answer.status_code == 200, answer.text
        if to.url.report:
            await record(person, session, part)


async def uploaded(person: Person, datas: Sequence[bytes], **fields: str) -> pb.Content:
    session = await person.create([file_of(f"f{index}", data, PART) for index, data in enumerate(datas)], **fields)
    await send_pack(person, session.session_id, dict(enumerate(datas)))
    return await person.commit(session.session_id, datas)


async def read(person: Person, asset_id: str) -> dict[str, bytes]:
    """By ranges, as a daemon does."""
    manifest = await person.manifest(asset_id, accept_offsets=True)
    found = {}
    for file in manifest.files:
        if not file.size_bytes:
            continue
        first = file.location.url.offset_bytes
        wanted = {"range": f"bytes={first}-{first + file.size_bytes - 1}"}
        answer = await person.http.get(file.location.url.url, headers=wanted)
        assert answer.status_code == 206
        found[file.path] = answer.content
    return found


async def test_small_files_are_one_object_and_each_is_read_by_itself(place: Place, ann: Person) -> None:
    session = await begun(ann, SMALL[0], BIG, b"", SMALL[1], SMALL[2])
    await send_pack(ann, session, {0: SMALL[0], 3: SMALL[1], 4: SMALL[2]})
    await send_alone(ann, session, 1, BIG)
    assert await ann.stored(session) == [(0, 1), (1, 1), (1, 2), (1, 3), (3, 1), (4, 1)]
    made = await ann.commit(session, [SMALL[0], BIG, b"", SMALL[1], SMALL[2]])
    assert sorted(place.keys.values()) == [3000, len(BIG)]
    files = {file.path: file.location.url for file in (await ann.manifest(made.asset_id, accept_offsets=True)).files}
    assert [files[path].offset_bytes for path in ("f0", "f1", "f3", "f4")] == [0, 0, 1000, 2000]
    assert files["f0"].url == files["f4"].url
    assert await read(ann, made.asset_id) == {"f0": SMALL[0], "f1": BIG, "f3": SMALL[1], "f4": SMALL[2]}
    assert (await verify(place.rig, None))[2] == 0


async def test_a_session_says_how_long_packs_may_be(place: Place, ann: Person) -> None:
    assert (await ann.create([file_of("f", BIG, MIB)])).pack_size_bytes == PACK_BYTES


async def test_who_does_not_look_at_offsets_gets_no_packs(place: Place, ann: Person) -> None:
    session = await begun(ann, *SMALL[:2])
    await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    await send_alone(ann, session, 1, SMALL[1])  # what is left begins where its pack does
    made = await ann.commit(session, SMALL[:2])
    with pytest.raises(FerryError, match="update the daemon") as caught:
        await ann.manifest(made.asset_id)
    assert caught.value.reason == "UNIMPLEMENTED"


async def test_what_is_no_pack_is_refused(place: Place, ann: Person) -> None:
    half = bytes(PACK_BYTES // 2)
    session = await ann.create([file_of(f"f{at}", data, PART) for at, data in enumerate([half, half, *SMALL, b""])])
    cut = await begun(ann, BIG, SMALL[0])

    async def why(session: str, datas: dict[int, bytes], pack: pb.Pack | None = None) -> str:
        parts, mine, _ = pack_of(datas)
        for call in (sign_pack, record_pack):
            with pytest.raises(FerryError) as caught:
                await call(ann, session, parts, pack or mine)
            assert caught.value.reason == "INVALID_ARGUMENT"
        return str(caught.value)

    assert "several parts" in await why(cut, {0: BIG[:PART], 1: SMALL[0]})
    too_long = {0: half, 1: half, 2: SMALL[0]}
    assert "8389608 bytes are more than the 8388608" in await why(session.session_id, too_long)
    assert "not between 1 and 0" in await why(session.session_id, {2: SMALL[0], 6: b""})
    if isinstance(place, Bucket):
        assert "needs 8" in await why(session.session_id, {2: SMALL[0], 3: SMALL[1]}, pb.Pack())
    assert await ann.stored(session.session_id) == await ann.stored(cut) == []


async def test_a_location_may_want_each_file_by_itself(
    weed_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in weed_server.env.items():
        monkeypatch.setenv(name, value)
    async with running(tmp_path) as rig:
        await use_bucket(rig, weed_server, await asyncio.to_thread(weed_server.bucket))
        ann = await somebody(rig)
        session = await ann.create([file_of("a", SMALL[0], PART), file_of("b", SMALL[1], PART)])
        assert session.pack_size_bytes == 0
        parts, pack, _ = pack_of({0: SMALL[0], 1: SMALL[1]})
        with pytest.raises(FerryError, match="one by one"):
            await sign_pack(ann, session.session_id, parts, pack)


async def test_other_bytes_are_refused_and_recorded_ones_stay(place: Place, ann: Person) -> None:
    """A store refuses them as they come, the hub when it is told of them."""
    session = await begun(ann, *SMALL)
    parts, pack, body = pack_of(dict(enumerate(SMALL)))
    wrong = body[:-1] + bytes([body[-1] ^ 1])
    to = await sign_pack(ann, session, parts, pack)
    assert (await put(ann, to, body[:-1])).status_code in (400, 403)
    answer = await put(ann, to, wrong)
    if isinstance(place, Bucket):
        assert (answer.status_code, place.keys) == (400, {})
    else:
        with pytest.raises(FerryError) as caught:
            await record_pack(ann, session, parts, pack)
        assert (caught.value.reason, caught.value.metadata["fileIndex"]) == ("CHUNK_CORRUPT", "3")
    assert await ann.stored(session) == []
    assert (await put(ann, to, body)).status_code == 200
    await record_pack(ann, session, parts, pack)
    assert (await put(ann, to, body)).status_code in (200, 412), "sent again because the reply was lost"
    assert (await put(ann, to, wrong)).status_code in (200, 400, 412)
    made = await ann.commit(session, SMALL)
    assert (await put(ann, to, wrong)).status_code in (400, 404, 412)
    assert await read(ann, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}
    assert len(place.keys) == 1


async def test_a_report_of_what_was_not_sent_is_no_commit(place: Place, ann: Person) -> None:
    session = await begun(ann, *SMALL)
    others = [content(1000, seed=seed) for seed in range(10, 14)]
    await send_pack(ann, session, dict(enumerate(SMALL)))
    parts, pack, _ = pack_of(dict(enumerate(others)))
    if isinstance(place, Own):
        with pytest.raises(FerryError, match="is not there"):
            await record_pack(ann, session, parts, pack)
        assert len(await ann.stored(session)) == 4
        return
    await record_pack(ann, session, parts, pack)
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, others)
    assert (caught.value.reason, caught.value.metadata["missingCount"]) == ("PARTS_MISSING", "4")
    assert await ann.stored(session) == []
    await send_pack(ann, session, dict(enumerate(SMALL)))
    assert (await ann.commit(session, SMALL)).size_bytes == 4000


async def test_a_pack_that_is_lost_is_missing_and_nothing_else(place: Place, ann: Person) -> None:
    session = await begun(ann, *SMALL, BIG)
    await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    await send_pack(ann, session, {2: SMALL[2], 3: SMALL[3]})
    await send_alone(ann, session, 4, BIG)
    [lost] = [key for key in place.keys if "0-1-" in key]
    await asyncio.to_thread(place.spoil, lost, None)
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, [*SMALL, BIG])
    assert (caught.value.reason, caught.value.metadata["missingCount"]) == ("PARTS_MISSING", "2")
    assert await ann.stored(session) == [(2, 1), (3, 1), (4, 1), (4, 2), (4, 3)]
    await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    made = await ann.commit(session, [*SMALL, BIG])
    assert (await read(ann, made.asset_id))["f0"] == SMALL[0]


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
async def test_a_list_of_parts_knows_what_the_store_has_lost(place: Place, ann: Person) -> None:
    session = await begun(ann, *SMALL)
    await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    await send_pack(ann, session, {2: SMALL[2], 3: SMALL[3]})
    [lost] = [key for key in place.keys if "-0-1-" in key]
    await asyncio.to_thread(place.spoil, lost, None)
    assert await ann.stored(session) == [(2, 1), (3, 1)]


async def test_a_file_of_a_pack_may_be_sent_again_by_itself(place: Place, ann: Person) -> None:
    """The others are in the pack all the same."""
    session, other = await begun(ann, *SMALL), content(1000, seed=20)
    await send_pack(ann, session, dict(enumerate(SMALL)))
    await send_alone(ann, session, 2, other)
    assert len(await ann.stored(session)) == 4
    made = await ann.commit(session, [SMALL[0], SMALL[1], other, SMALL[3]])
    assert await read(ann, made.asset_id) == {"f0": SMALL[0], "f1": SMALL[1], "f2": other, "f3": SMALL[3]}
    assert (await verify(place.rig, None))[2] == 0


async def test_signing_anew_takes_back_what_may_be_overwritten(place: Place, ann: Person) -> None:
    session, other = await begun(ann, *SMALL), content(1000, seed=20)
    await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    await send_pack(ann, session, {2: SMALL[2], 3: SMALL[3]})
    parts, pack, _ = pack_of({0: SMALL[0], 1: other})
    await sign_pack(ann, session, parts, pack)
    assert len(await ann.stored(session)) == 4, "another pack is another object"
    parts, pack, _ = pack_of({0: SMALL[0], 1: SMALL[1]})
    await sign_pack(ann, session, parts, pack)
    whole = [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert await ann.stored(session) == (whole[2:] if isinstance(place, Own) else whole), (
        "at a store none is overwritten"
    )


async def test_a_commit_that_was_cut_short_is_repeated(
    place: Place, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begun(ann, *SMALL)
    await send_pack(ann, session, dict(enumerate(SMALL)))
    commit = contents.commit

    def fail(*_: object, **__: object) -> None:
        raise FerryError("HUB_OVERLOADED", "the database went away")

    monkeypatch.setattr(contents, "commit", fail)
    with pytest.raises(FerryError):
        await ann.commit(session, SMALL)
    monkeypatch.setattr(contents, "commit", commit)
    assert len(await ann.stored(session)) == 4
    await send_pack(ann, session, dict(enumerate(SMALL)))  # whoever does not know that it is published sends it again
    made = await ann.commit(session, SMALL)
    assert await read(ann, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}
    assert len(place.keys) == 1


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
async def test_two_hubs_give_a_pack_the_same_name(place: Place, ann: Person, tmp_path: Path) -> None:
    async with running(tmp_path) as second:
        twin = Person(second.url, ann.token, ann.project_id)
        second.stack.push_async_callback(twin.http.aclose)
        session = await begun(ann, *SMALL)
        parts, pack = await put_pack(ann, session, dict(enumerate(SMALL)))
        await record_pack(twin, session, parts, pack)
        assert len(await twin.stored(session)) == 4
        made = await ann.commit(session, SMALL)
        assert await read(twin, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}


async def test_bytes_that_the_asset_has_already_leave_no_second_pack(place: Place, ann: Person) -> None:
    first = await uploaded(ann, SMALL)
    again = await uploaded(ann, SMALL, asset_id=first.asset_id)
    assert again.content_id == first.content_id
    assert list(place.keys.values()) == [4000]


async def test_packs_of_nobody_are_swept_and_no_others(place: Place, ann: Person) -> None:
    kept = await uploaded(ann, SMALL)
    aborted = await begun(ann, *SMALL)
    await send_pack(ann, aborted, dict(enumerate(SMALL)))
    await ann.abort(aborted)
    assert len(place.keys) == 1, "an abort takes its packs along"
    session = await begun(ann, *SMALL)
    await put_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
    await send_pack(ann, session, dict(enumerate(SMALL)))  # of the first nobody was told
    await ann.commit(session, SMALL)
    place.rig.clock.ahead_s = GRACE_S + 60
    swept = await place.rig.blobs.sweeper.sweep_once()
    assert swept == Swept(0, 0, 1 if isinstance(place, Bucket) else 0), "the commit takes along what was staged"
    left = await begun(ann, *SMALL)
    await send_pack(ann, left, dict(enumerate(SMALL)))
    place.rig.clock.ahead_s += 2 * WEEK_S
    await place.rig.blobs.sweeper.sweep_once()
    assert list(place.keys.values()) == [4000, 4000]
    assert len(await read(ann, kept.asset_id)) == 4


async def test_what_nobody_uses_of_packs_is_bounded(place: Place, ann: Person) -> None:
    """Each pack but the last is left with one file: what is stored would be a multiple of what is counted."""
    datas = [content(1000, seed=seed) for seed in range(20)]
    session = await begun(ann, *datas)
    for first in range(20):
        await send_pack(ann, session, {index: datas[index] for index in range(first, 20)})
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, datas)
    assert caught.value.reason == "PARTS_MISSING"
    missing = [index for index in range(20) if (index, 1) not in await ann.stored(session)]
    assert len(missing) == int(caught.value.metadata["missingCount"]) == 18, "all but the last pack and the one before"
    await send_pack(ann, session, {index: datas[index] for index in missing})
    made = await ann.commit(session, datas)
    assert await read(ann, made.asset_id) == {f"f{index}": data for index, data in enumerate(datas)}
    place.rig.clock.ahead_s = GRACE_S + 60
    await place.rig.blobs.sweeper.sweep_once()
    assert sum(place.keys.values()) <= 2 * sum(map(len, datas))


async def test_packs_of_which_nobody_tells_take_so_much_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_SPARE_BYTES", 10_000)
    async with running(tmp_path) as rig:
        ann, place = await somebody(rig), Own(rig)
        session = await begun(ann, *SMALL)
        await send_pack(ann, session, {0: SMALL[0], 1: SMALL[1]})
        for seed in range(40):
            await put_pack(ann, session, {2: content(1000, seed=100 + seed), 3: content(1000, seed=200 + seed)})
            assert sum(place.keys.values()) <= 2 * 4_000 + 10_000 + 2 * 2_000
        await send_pack(ann, session, {2: SMALL[2], 3: SMALL[3]})
        made = await ann.commit(session, SMALL)
        assert await read(ann, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}


async def test_what_could_not_be_made_durable_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as rig:
        ann, place = await somebody(rig), Own(rig)
        session = await begun(ann, *SMALL)
        parts, pack, body = pack_of(dict(enumerate(SMALL)))
        to = await sign_pack(ann, session, parts, pack)

        def refuse(_: object) -> None:
            raise FerryError("IO_ERROR", "the sync failed", path="")

        with monkeypatch.context() as patch:
            patch.setattr(LocalPartWriter, "sync", refuse)
            assert (await put(ann, to, body)).status_code == 500
        with pytest.raises(FerryError, match="is not there"):
            await record_pack(ann, session, parts, pack)
        assert place.keys == {}
        assert (await put(ann, to, body)).status_code == 200
        await record_pack(ann, session, parts, pack)


async def test_a_disk_that_fails_while_a_pack_is_looked_at_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as rig:
        ann = await somebody(rig)
        session = await begun(ann, *SMALL)
        parts, pack = await put_pack(ann, session, dict(enumerate(SMALL)))

        def refuse(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(LocalBlobReader, "read", refuse)
        with pytest.raises(FerryError) as caught:
            await record_pack(ann, session, parts, pack)
        assert caught.value.reason == "IO_ERROR"


@pytest.mark.parametrize("kind", ["pack", "parts"])
async def test_who_asks_where_to_write_while_a_commit_is_under_way_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A hub that gives out its files: a published one would become a staging file again."""
    async with running(tmp_path, local_files=True) as rig:
        ann, place = await somebody(rig), Own(rig)
        session = await begun(ann, *SMALL)
        parts, pack, _ = pack_of(dict(enumerate(SMALL)))
        if kind == "pack":
            await send_pack(ann, session, dict(enumerate(SMALL)))
        else:
            for index, data in enumerate(SMALL):
                await send_alone(ann, session, index, data)
        asked, committed = asyncio.Event(), asyncio.Event()
        # The last that is done before it is this one's turn, or that of the commit.
        name = "_make_room" if kind == "pack" else "_staging_files"
        before_turn = getattr(ServedPlace, name)

        async def late(*args: Any, **kwargs: Any) -> Any:
            if kind == "pack":
                await before_turn(*args, **kwargs)
            asked.set()
            await committed.wait()
            return None if kind == "pack" else await before_turn(*args, **kwargs)

        monkeypatch.setattr(ServedPlace, name, late)
        request = pb.SignPartsRequest(session_id=session, parts=parts, accept_files=True)
        if kind == "pack":
            request.pack.CopyFrom(pack)
        job = asyncio.create_task(ann.call("SignParts", request, pb.SignPartsResponse))
        await asked.wait()
        made = await ann.commit(session, SMALL)
        before = place.keys
        committed.set()
        with pytest.raises(FerryError) as caught:
            await job
        assert caught.value.reason == "SESSION_NOT_FOUND"
        assert place.keys == before
        assert await read(ann, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}


async def test_a_file_to_write_a_pack_into_is_nobodys_proof_any_more(tmp_path: Path) -> None:
    """As the embedded hub does it: the caller writes, the hub looks."""
    async with running(tmp_path, local_files=True) as rig:
        ann = await somebody(rig)
        session = await begun(ann, *SMALL)
        parts, pack, body = pack_of(dict(enumerate(SMALL)))
        for _ in range(2):
            request = pb.SignPartsRequest(session_id=session, parts=parts, pack=pack, accept_files=True)
            (to,) = (await ann.call("SignParts", request, pb.SignPartsResponse)).locations
            assert await ann.stored(session) == []
            Path(to.file.path).write_bytes(body[:-1] + b"\0")
            with pytest.raises(FerryError) as caught:
                await record_pack(ann, session, parts, pack)
            assert (caught.value.reason, await ann.stored(session)) == ("CHUNK_CORRUPT", [])
            Path(to.file.path).write_bytes(body)
            await record_pack(ann, session, parts, pack)
        made = await ann.commit(session, SMALL)
        files = (await ann.manifest(made.asset_id, accept_files=True, accept_offsets=True)).files
        for file, data in zip(files, SMALL, strict=True):
            at = file.location.file
            assert Path(at.path).read_bytes()[at.offset_bytes : at.offset_bytes + file.size_bytes] == data


async def test_who_looks_at_a_pack_is_not_kept_out_by_those_that_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate's limit is for the memory of those who receive."""
    async with running(tmp_path) as rig:
        ann = await somebody(rig)
        session = await begun(ann, *SMALL)
        parts, pack = await put_pack(ann, session, dict(enumerate(SMALL)))
        monkeypatch.setattr(rig.blobs.uploads._gate, "_limit", 0)
        await sign_pack(ann, session, parts, pack)
        await record_pack(ann, session, parts, pack)
        assert len(await ann.stored(session)) == 4
