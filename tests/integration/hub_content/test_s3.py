"""Content whose bytes go straight to an S3 store, with one hub and with two on the same catalogue."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
from awscrt.checksums import crc64nvme
from sqlalchemy import URL

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs.store import StagedFile, blob_key
from ferryhub.blobs.sweep import GRACE_S, Swept
from ferryhub.catalogue import contents, locations
from ferryhub.catalogue.locations import StorageLocation
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count, part_span
from ferrywire.reasons import FerryError
from tests.architecture.sources import ROOT
from tests.integration.hub_content.rig import Person, Rig, blocks_of, content, digest_of, file_of, running
from tests.integration.hub_content.test_backup import ferryhub
from tests.integration.hub_content.test_verify import verify
from tests.support.postgres import Postgres, program
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow

_PAGE = ROOT / "docs" / "howto" / "deploy.md"
PART = 5 * MIB
WEEK_S = 7 * 24 * 3600
BIG, SMALL = content(2 * PART + 3), content(1000)


class Lake:
    """Hubs whose default location is a bucket of a real store."""

    def __init__(self, rig: Rig, server: S3Server, bucket: str) -> None:
        self.rig, self.server, self.bucket = rig, server, bucket

    @property
    def keys(self) -> dict[str, int]:
        found = self.server.keys(self.bucket)
        return {key.removeprefix("pre/"): size for key, size in found.items()}

    @property
    def uploads(self) -> list[tuple[str, str]]:
        return self.server.uploads(self.bucket)


@pytest.fixture
async def lake(tmp_path: Path, weed_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lake]:
    for name, value in weed_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = await asyncio.to_thread(weed_server.bucket)
    async with running(tmp_path) as rig:
        await use_bucket(rig, weed_server, bucket)
        yield Lake(rig, weed_server, bucket)


async def use_bucket(rig: Rig, server: S3Server, bucket: str, *, pack_bytes: int = 0) -> None:
    options = {
        "bucket": bucket,
        "endpoint": server.endpoint,
        "prefix": "pre",
        "checksum": "crc64nvme",
        "least_part_bytes": PART,
        "most_file_bytes": 1 << 40,
        "pack_bytes": pack_bytes,
    }
    await rig.database.write(locations.add, StorageLocation("lake", "s3", options))
    await rig.database.write(locations.set_default, "lake")


@pytest.fixture
async def ann(lake: Lake) -> Person:
    return await lake.rig.person("ann@x.org")


def part_of(index: int, data: bytes, number: int) -> tuple[pb.Part, bytes]:
    offset, length = part_span(len(data), PART, number)
    piece = data[offset : offset + length]
    crc = crc64nvme(piece).to_bytes(8, "big")
    digests = {"digest": digest_of(piece), "block_digests": blocks_of(piece)}
    return pb.Part(file_index=index, part_number=number, crc64nvme=crc, **digests), piece


async def put(person: Person, location: pb.Location, body: bytes) -> httpx.Response:
    assert location.url.report
    return await person.http.put(location.url.url, content=body, headers=dict(location.url.headers))


async def record(person: Person, session: str, *given: pb.Part) -> None:
    await person.call("RecordParts", pb.RecordPartsRequest(session_id=session, parts=given), pb.RecordPartsResponse)


async def send(person: Person, session: str, files: Mapping[int, bytes], *, only: tuple[int, ...] = ()) -> None:
    for index, data in files.items():
        for number in only or range(1, part_count(len(data), PART) + 1):
            part, piece = part_of(index, data, number)
            (location,) = await person.sign(session, [part])
            answer = await put(person, location, piece)
            assert answer.status_code == 200, answer.text
            await record(person, session, part)


async def upload(person: Person, files: Mapping[str, bytes], **fields: str) -> pb.Content:
    session = await person.create([file_of(path, data, PART) for path, data in files.items()], **fields)
    await send(person, session.session_id, dict(enumerate(files.values())))
    return await person.commit(session.session_id, list(files.values()))


async def fetched(person: Person, asset_id: str) -> dict[str, bytes]:
    manifest = await person.manifest(asset_id)
    return {file.path: (await person.http.get(file.location.url.url)).content for file in manifest.files}


async def begun(person: Person, *datas: bytes) -> str:
    session = await person.create([file_of(f"f{index}", data, PART) for index, data in enumerate(datas)])
    return session.session_id


async def test_bytes_go_to_the_store_and_come_from_it(lake: Lake, ann: Person) -> None:
    made = await upload(ann, {"big": BIG, "small": SMALL})
    assert await fetched(ann, made.asset_id) == {"big": BIG, "small": SMALL}
    assert sorted(lake.keys.values()) == [len(SMALL), len(BIG)]
    assert (lake.uploads, lake.rig.files) == ([], [])


async def test_a_session_says_what_parts_need(ann: Person) -> None:
    session = await ann.create([file_of("f", BIG, MIB)])
    assert session.part_checksum == pb.PART_CHECKSUM_CRC64NVME
    assert session.least_part_size_bytes == PART
    await send(ann, session.session_id, {0: BIG})
    assert (await ann.commit(session.session_id, [BIG])).size_bytes == len(BIG)


@pytest.mark.parametrize("crc", [b"", b"1234567", b"123456789"])
async def test_a_part_without_its_checksum_is_refused(ann: Person, crc: bytes) -> None:
    session = await begun(ann, BIG)
    part, _ = part_of(0, BIG, 1)
    part.crc64nvme = crc
    for call in (ann.sign(session, [part]), record(ann, session, part)):
        with pytest.raises(FerryError) as caught:
            await call
        assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_ARGUMENT", "parts.crc64nvme")


async def test_what_was_reported_and_is_not_there_is_missing_and_nothing_else(ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG}, only=(1, 3))
    await send(ann, session, {1: SMALL})
    liar, _ = part_of(0, BIG, 2)
    await record(ann, session, liar)
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, [BIG, SMALL])
    assert (caught.value.reason, caught.value.metadata["missingCount"]) == ("PARTS_MISSING", "1")
    assert await ann.stored(session) == [(0, 1), (0, 3), (1, 1)]
    await send(ann, session, {0: BIG}, only=(2,))
    assert await fetched(ann, (await ann.commit(session, [BIG, SMALL])).asset_id) == {"f0": BIG, "f1": SMALL}


async def test_an_upload_that_the_store_lost_begins_anew(lake: Lake, ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG, 1: SMALL})
    ((key, upload_id),) = lake.uploads
    lake.server.client().abort_multipart_upload(Bucket=lake.bucket, Key=key, UploadId=upload_id)
    part, piece = part_of(0, BIG, 1)
    (location,) = await ann.sign(session, [part])
    assert (await put(ann, location, piece)).status_code == 404
    assert await ann.stored(session) == [(1, 1)], "the list is what the store has"
    await send(ann, session, {0: BIG})
    assert await fetched(ann, (await ann.commit(session, [BIG, SMALL])).asset_id) == {"f0": BIG, "f1": SMALL}


async def test_a_lost_upload_is_also_noticed_by_the_commit(lake: Lake, ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG, 1: SMALL})
    (small,) = lake.keys
    lake.server.client().delete_object(Bucket=lake.bucket, Key=f"pre/{small}")
    ((key, upload_id),) = lake.uploads
    lake.server.client().abort_multipart_upload(Bucket=lake.bucket, Key=key, UploadId=upload_id)
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, [BIG, SMALL])
    assert (caught.value.reason, caught.value.metadata["missingCount"]) == ("PARTS_MISSING", "4")
    assert await ann.stored(session) == []
    await send(ann, session, {0: BIG, 1: SMALL})
    assert (await ann.commit(session, [BIG, SMALL])).version == 1


async def test_signing_other_bytes_takes_a_part_back(ann: Person) -> None:
    session, other = await begun(ann, BIG), content(len(BIG), seed=2)
    await send(ann, session, {0: BIG})
    same, _ = part_of(0, BIG, 1)
    await ann.sign(session, [same])
    assert await ann.stored(session) == [(0, 1), (0, 2), (0, 3)]
    changed, _ = part_of(0, other, 2)
    await ann.sign(session, [changed])
    assert await ann.stored(session) == [(0, 1), (0, 3)]


async def test_a_put_that_comes_late_changes_no_blob(lake: Lake, ann: Person) -> None:
    session, other = await begun(ann, SMALL), content(len(SMALL), seed=2)
    (old, old_bytes), (new, new_bytes) = part_of(0, other, 1), part_of(0, SMALL, 1)
    (to_old,) = await ann.sign(session, [old])
    (to_new,) = await ann.sign(session, [new])
    assert (await put(ann, to_new, new_bytes)).status_code == 200
    await record(ann, session, new)
    assert (await put(ann, to_new, new_bytes)).status_code == 412, "sent again because the reply was lost"
    made = await ann.commit(session, [SMALL])
    (kept,) = lake.keys
    assert (await put(ann, to_new, new_bytes)).status_code == 412
    assert (await put(ann, to_new, old_bytes)).status_code in (400, 412)
    assert (await put(ann, to_old, old_bytes)).status_code == 200, "under a name of its own"
    assert await fetched(ann, made.asset_id) == {"f0": SMALL}
    assert len(lake.keys) == 2
    lake.rig.clock.ahead_s = GRACE_S + 60
    assert (await lake.rig.blobs.sweeper.sweep_once()).orphan_blobs == 1
    assert list(lake.keys) == [kept]


async def test_a_report_of_other_bytes_of_the_same_size_is_no_commit(lake: Lake, ann: Person) -> None:
    session, other = await begun(ann, SMALL), content(len(SMALL), seed=2)
    await send(ann, session, {0: SMALL})
    liar, _ = part_of(0, other, 1)
    await record(ann, session, liar)
    with pytest.raises(FerryError) as caught:
        await ann.commit(session, [other])
    assert (caught.value.reason, caught.value.metadata["missingCount"]) == ("PARTS_MISSING", "1")
    assert await ann.stored(session) == []


async def test_a_commit_cut_short_after_completing_is_repeated(
    lake: Lake, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begun(ann, BIG)
    await send(ann, session, {0: BIG})
    commit = contents.commit

    def fail(*_: object, **__: object) -> None:
        raise FerryError("HUB_OVERLOADED", "the database went away")

    monkeypatch.setattr(contents, "commit", fail)
    with pytest.raises(FerryError):
        await ann.commit(session, [BIG])
    monkeypatch.setattr(contents, "commit", commit)
    assert (lake.uploads, list(lake.keys.values())) == ([], [len(BIG)])
    assert await ann.stored(session) == [(0, 1), (0, 2), (0, 3)]
    assert await fetched(ann, (await ann.commit(session, [BIG])).asset_id) == {"f0": BIG}


async def test_after_a_commit_cut_short_other_bytes_replace_the_blob(lake: Lake, ann: Person) -> None:
    session, other = await begun(ann, BIG), BIG[:PART] + content(PART + 3, seed=3)
    await send(ann, session, {0: BIG})
    place = await lake.rig.blobs.places.get("lake")
    ((_, upload_id),) = lake.uploads
    file = StagedFile(session, 0, len(BIG), PART, upload_id)
    assert await asyncio.to_thread(place.store.publish, [file]) == []
    changed, _ = part_of(0, other, 2)
    await ann.sign(session, [changed])
    assert await ann.stored(session) == [], "none of its parts can be replaced any more, so all are sent"
    await send(ann, session, {0: other})
    assert await fetched(ann, (await ann.commit(session, [other])).asset_id) == {"f0": other}


async def test_two_hubs_share_uploads_parts_and_commits(lake: Lake, ann: Person, tmp_path: Path) -> None:
    async with running(tmp_path) as second:
        twin = Person(second.url, ann.token, ann.project_id)
        second.stack.push_async_callback(twin.http.aclose)
        session = await begun(ann, BIG, BIG)
        parts = [part_of(index, BIG, number) for index in (0, 1) for number in (1, 2, 3)]
        signed = await asyncio.gather(*(person.sign(session, [part]) for part, _ in parts for person in (ann, twin)))
        assert len(lake.uploads) == 2, "one for each file, whoever was asked first"
        for at, (part, piece) in enumerate(parts):
            person = (ann, twin)[at % 2]
            assert (await put(person, signed[2 * at + at % 2][0], piece)).status_code == 200
            await record((twin, ann)[at % 2], session, part)
        assert await twin.stored(session) == await ann.stored(session)
        done = await asyncio.gather(*(person.commit(session, [BIG, BIG]) for person in (ann, twin, ann, twin)))
        assert {each.content_id for each in done} == {done[0].content_id}
        assert await fetched(twin, done[0].asset_id) == {"f0": BIG, "f1": BIG}
        assert (sorted(lake.keys.values()), lake.uploads) == ([len(BIG)] * 2, [])
        both = await asyncio.gather(lake.rig.blobs.sweeper.sweep_once(), second.blobs.sweeper.sweep_once())
        assert list(both) == [Swept(0, 0, 0)] * 2


async def test_abort_leaves_nothing(lake: Lake, ann: Person) -> None:
    session = await begun(ann, BIG, SMALL)
    await send(ann, session, {0: BIG}, only=(1,))
    await send(ann, session, {1: SMALL})
    await ann.abort(session)
    assert (lake.uploads, lake.keys) == ([], {})


async def test_bytes_that_the_asset_has_already_are_not_kept_twice(lake: Lake, ann: Person) -> None:
    first = await upload(ann, {"big": BIG, "small": SMALL})
    kept = lake.keys
    again = await upload(ann, {"big": BIG, "small": SMALL}, asset_id=first.asset_id)
    assert again == first
    assert (lake.keys, lake.uploads) == (kept, [])


async def test_the_sweep_takes_expired_sessions_and_orphans_and_nothing_else(lake: Lake, ann: Person) -> None:
    made = await upload(ann, {"big": BIG, "small": SMALL})
    kept = lake.keys
    client, rig = lake.server.client(), lake.rig
    orphan = blob_key(new_id("upl"), 0)
    client.put_object(Bucket=lake.bucket, Key=f"pre/{orphan}", Body=b"x")
    client.create_multipart_upload(Bucket=lake.bucket, Key=f"pre/{blob_key(new_id('upl'), 3)}")
    client.put_object(Bucket=lake.bucket, Key="pre/somebody-elses", Body=b"x")
    open_session = await begun(ann, BIG, SMALL)
    await send(ann, open_session, {1: SMALL})
    await send(ann, open_session, {0: BIG}, only=(1,))
    assert await rig.blobs.sweeper.sweep_once() == Swept(0, 0, 0), "young ones may be somebody's work"
    rig.clock.ahead_s = GRACE_S + 60
    assert await rig.blobs.sweeper.sweep_once() == Swept(0, 1, 1)
    assert len(lake.uploads) == 1
    rig.clock.ahead_s = WEEK_S + 7200
    swept = await rig.blobs.sweeper.sweep_once()
    assert swept.expired_sessions == 2
    assert lake.uploads == []
    assert lake.keys == kept | {"somebody-elses": 1}
    rig.clock.ahead_s = 0
    assert await fetched(ann, made.asset_id) == {"big": BIG, "small": SMALL}


async def test_a_location_that_cannot_be_reached_does_not_keep_others_from_being_swept(lake: Lake, ann: Person) -> None:
    lost = StorageLocation("alost", "s3", {"bucket": "b", "endpoint": "http://127.0.0.1:9"})
    await lake.rig.database.write(locations.add, lost)
    client = lake.server.client()
    client.put_object(Bucket=lake.bucket, Key=f"pre/{blob_key(new_id('upl'), 0)}", Body=b"x")
    lake.rig.clock.ahead_s = GRACE_S + 60
    assert (await lake.rig.blobs.sweeper.sweep_once()).orphan_blobs == 1


async def test_the_hubs_own_files_serve_on_beside_the_store(lake: Lake, ann: Person) -> None:
    await lake.rig.database.write(locations.set_default, "default")
    own = await ann.make_project("own files")
    assert own
    made = await ann.upload({"f": SMALL})
    assert await ann.download(made.asset_id) == {"f": SMALL}
    assert len(lake.rig.files) == 1
    assert lake.keys == {}


async def test_verify_reads_the_bucket(lake: Lake, ann: Person) -> None:
    await upload(ann, {"big": BIG})
    assert (await verify(lake.rig, None))[2] == 0
    client, [key] = lake.server.client(), lake.server.keys(lake.bucket)
    await asyncio.to_thread(client.put_object, Bucket=lake.bucket, Key=key, Body=BIG[:-1] + b"\0")
    result, _, code = await verify(lake.rig, None)
    [found] = result["found"]
    assert (code, found["storage_location"], found["first_block"], found["last_block"]) == (1, "lake", 10, 10)
    await asyncio.to_thread(client.delete_object, Bucket=lake.bucket, Key=key)
    result, _, code = await verify(lake.rig, None)
    assert (code, [each["problem"] for each in result["found"]]) == (1, ["is missing"])


async def test_a_backup_says_that_it_has_no_buckets(lake: Lake, ann: Person, tmp_path: Path) -> None:
    made = await upload(ann, {"big": BIG})
    code, _, error = await ferryhub("backup", tmp_path / "backup", lake.rig.root)
    assert (code, error) == (0, "ferryhub: bytes in lake are not part of it: back those buckets up too\n")
    assert (await ferryhub("restore", tmp_path / "backup", tmp_path / "restored"))[0] == 0
    async with running(tmp_path / "restored") as restored:
        again = Person(restored.url, ann.token)
        assert await fetched(again, made.asset_id) == {"big": BIG}
        await again.http.aclose()


async def test_a_dump_and_a_copy_of_the_bucket_come_back(
    lake: Lake, postgres: Postgres, postgres_url: URL, tmp_path: Path
) -> None:
    """As `docs/howto/deploy.md` says: the database first, then the bucket; uploads and sweeps go on meanwhile."""
    empty = postgres.new_database(empty=True)
    async with running(tmp_path / "first", database_url=postgres_url) as rig:
        await use_bucket(rig, lake.server, lake.bucket)
        ann = await rig.person("ann@x.org")
        made = await upload(ann, {"big": BIG, "small": SMALL})
        under_way = await begun(ann, BIG)
        await send(ann, under_way, {0: BIG}, only=(1,))
        await _postgres("pg_dump", postgres_url, tmp_path)
        await upload(ann, {"later": SMALL})
        await upload(ann, {"small": SMALL}, asset_id=made.asset_id)
        rig.clock.ahead_s = WEEK_S + 7200
        await rig.blobs.sweeper.sweep_once()
        assert lake.uploads == [], "what was under way is gone from the store"
        copy = _copied(lake)
    _restored(lake, copy)
    await _postgres("pg_restore", empty, tmp_path)
    async with running(tmp_path / "second", database_url=empty) as restored:
        again = Person(restored.url, ann.token)
        assert await fetched(again, made.asset_id) == {"big": BIG, "small": SMALL}
        assert (await again.manifest(made.asset_id)).content.digest == made.digest
        result, _, code = await verify(restored, empty)
        assert (code, result["files"]) == (0, 2)
        assert await again.stored(under_way) == [], "what was under way is sent again"
        await send(again, under_way, {0: BIG})
        assert (await again.commit(under_way, [BIG])).size_bytes == len(BIG)
        await again.http.aclose()


async def test_the_bucket_first_loses_what_comes_in_between(
    lake: Lake, postgres: Postgres, postgres_url: URL, tmp_path: Path
) -> None:
    """Why the page says which comes first. `verify` tells."""
    empty = postgres.new_database(empty=True)
    async with running(tmp_path / "first", database_url=postgres_url) as rig:
        await use_bucket(rig, lake.server, lake.bucket)
        ann = await rig.person("ann@x.org")
        await upload(ann, {"before": SMALL})
        copy = _copied(lake)
        made = await upload(ann, {"between": BIG})
        await _postgres("pg_dump", postgres_url, tmp_path)
    _restored(lake, copy)
    await _postgres("pg_restore", empty, tmp_path)
    async with running(tmp_path / "second", database_url=empty) as restored:
        result, said, code = await verify(restored, empty)
    assert (code, result["files"], result["damaged"]) == (1, 2, 1)
    assert f"{made.asset_id} version 1: 'between' blocks 0 to 10: is missing" in said


def _copied(lake: Lake) -> dict[str, bytes]:
    client = lake.server.client()
    return {key: client.get_object(Bucket=lake.bucket, Key=key)["Body"].read() for key in lake.server.keys(lake.bucket)}


def _restored(lake: Lake, copy: Mapping[str, bytes]) -> None:
    """The bucket as it was when it was copied, and no more."""
    client = lake.server.client()
    for key in lake.server.keys(lake.bucket):
        client.delete_object(Bucket=lake.bucket, Key=key)
    for key, data in copy.items():
        client.put_object(Bucket=lake.bucket, Key=key, Body=data)


async def _postgres(name: str, url: URL, cwd: Path) -> None:
    """Run the page's own command; its service is this database."""
    [line] = re.findall(rf"^({name} .*service=ferryhub[^&\n]*)", _PAGE.read_text(), re.MULTILINE)
    known = {"host": url.host or url.query["host"], "port": url.port, "dbname": url.database}
    known |= {"user": url.username, "password": url.password}
    service = cwd / "service"
    service.write_text("[ferryhub]\n" + "".join(f"{key}={value}\n" for key, value in known.items() if value))
    env = {**os.environ, "PGSERVICEFILE": str(service)}
    process = await asyncio.create_subprocess_exec(program(name), *shlex.split(line)[1:], cwd=cwd, env=env)
    assert await process.wait() == 0
