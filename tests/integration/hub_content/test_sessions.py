"""Upload sessions over the wire: what CreateUpload to CommitUpload promise."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import select

from ferryapi.hub.v1 import asset_service_pb2 as asset_pb
from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.catalogue import tables as t
from ferrywire.digest import of_manifest, to_text
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count
from ferrywire.reasons import FerryError
from tests.integration.hub_content.rig import PART, Person, Rig, blocks_of, content, digest_of, file_of, running


async def _fails(reason: str, call: object) -> FerryError:
    with pytest.raises(FerryError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.reason == reason, caught.value
    return caught.value


async def _allocation(rig: Rig, person: Person) -> tuple[int, int]:
    """(used, reserved) bytes of the person's project."""
    query = select(t.allocations).where(t.allocations.c.owner_id == person.project_id)
    row = await rig.database.read(lambda conn: conn.execute(query).one())
    return row.used_bytes, row.reserved_bytes


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
async def test_every_size_makes_the_round_trip(alice: Person, size: int) -> None:
    data = content(size)
    made = await alice.upload({"data.bin": data})
    assert (made.version, made.size_bytes, made.file_count) == (1, size, 1)
    assert made.digest == to_text(of_manifest([("data.bin", size, digest_of(data))]))
    assert await alice.download(made.asset_id) == {"data.bin": data}
    (file,) = (await alice.manifest(made.asset_id)).files
    assert file.digest == digest_of(data)
    assert len(file.part_digests) == 16 * part_count(size, PART)
    assert file.HasField("location") == (size > 0)


async def test_many_files_keep_their_paths_and_types(rig: Rig, alice: Person) -> None:
    files = {"a/b/c.csv": b"x,y\n", "a/empty": b"", "läb/ßeta.json": b"{}", "z.unknown": content(PART + 1)}
    made = await alice.upload(files)
    assert await alice.download(made.asset_id) == files
    types = {file.path: file.media_type for file in (await alice.manifest(made.asset_id)).files}
    assert types["a/b/c.csv"] == "text/csv"
    assert types["läb/ßeta.json"] == "application/json"
    assert types["z.unknown"] == ""
    assert len(rig.files) == 3, "an empty file has no blob, and nothing stays staged"


async def test_parts_may_come_in_any_order_and_again(alice: Person) -> None:
    data = content(4 * PART + 3)
    session = (await alice.create([file_of("f", data)])).session_id
    numbers = [*range(1, 6), 2, 5]
    random.Random(7).shuffle(numbers)
    for number in numbers:
        assert (await alice.send_part(session, 0, number, data)).status_code == 200
    assert await alice.stored(session) == [(0, number) for number in range(1, 6)]
    made = await alice.commit(session, [data])
    assert await alice.download(made.asset_id) == {"f": data}


async def test_list_parts_gives_block_digests_in_pages(alice: Person) -> None:
    data = content(2 * PART + MIB + 1)
    session = (await alice.create([file_of("f", data), file_of("g", b"g")])).session_id
    await alice.send(session, {0: data, 1: b"g"})
    parts: list[pb.Part] = []
    token = ""
    while True:
        request = pb.ListPartsRequest(session_id=session, page_size=1, page_token=token)
        reply = await alice.call("ListParts", request, pb.ListPartsResponse)
        assert len(reply.parts) == 1
        parts += reply.parts
        if not (token := reply.next_page_token):
            break
    assert [(part.file_index, part.part_number) for part in parts] == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert b"".join(part.block_digests for part in parts[:3]) == blocks_of(data)
    assert parts[3].digest == digest_of(b"g")


async def test_nothing_is_visible_before_the_commit(rig: Rig, alice: Person, bob: Person) -> None:
    data = content(PART)
    session = await alice.create([file_of("f", data)])
    await alice.send(session.session_id, {0: data})
    assert (await alice.asset(session.asset_id)).state == asset_pb.Asset.DRAFT
    await _fails("ASSET_NOT_READY", alice.manifest(session.asset_id))
    await _fails("ASSET_NOT_FOUND", bob.manifest(session.asset_id))
    assert await _allocation(rig, alice) == (0, PART)
    await alice.commit(session.session_id, [data])
    assert (await alice.asset(session.asset_id)).state == asset_pb.Asset.READY
    assert await _allocation(rig, alice) == (PART, 0)


async def test_commit_is_repeatable(rig: Rig, alice: Person) -> None:
    data = content(PART + 1)
    session = (await alice.create([file_of("f", data)])).session_id
    await alice.send(session, {0: data})
    first = await alice.commit(session, [data])
    assert [await alice.commit(session, [data]) for _ in range(2)] == [first, first]
    assert await _allocation(rig, alice) == (len(data), 0)
    assert await alice.download(first.asset_id) == {"f": data}


async def test_commits_at_once_make_one_content(alice: Person) -> None:
    data = content(PART + 1)
    session = (await alice.create([file_of("f", data)])).session_id
    await alice.send(session, {0: data})
    made = await asyncio.gather(*(alice.commit(session, [data]) for _ in range(8)))
    assert len({each.content_id for each in made}) == 1


async def test_commit_asks_for_missing_parts(alice: Person) -> None:
    data = content(3 * PART)
    session = (await alice.create([file_of("f", data), file_of("g", b"g")])).session_id
    await alice.send_part(session, 0, 2, data)
    error = await _fails("PARTS_MISSING", alice.commit(session, [data, b"g"]))
    assert error.metadata["missingCount"] == "3"
    await alice.send(session, {0: data, 1: b"g"})
    assert (await alice.commit(session, [data, b"g"])).file_count == 2


async def test_commit_refuses_another_digest(alice: Person) -> None:
    data = content(PART)
    session = (await alice.create([file_of("f", data)])).session_id
    await alice.send(session, {0: data})
    error = await _fails("DIGEST_MISMATCH", alice.commit(session, [content(PART, seed=2)]))
    assert error.metadata["path"] == "f"
    assert error.metadata["actual"] == to_text(digest_of(data))
    await _fails("INVALID_ARGUMENT", alice.commit(session, [data, data]))
    assert (await alice.commit(session, [data])).version == 1


async def test_versions_count_up_and_stay(alice: Person) -> None:
    first = await alice.upload({"f": b"one"})
    second = await alice.upload({"f": b"two", "g": b"more"}, asset_id=first.asset_id, message="better")
    assert (second.version, second.message) == (2, "better")
    assert await alice.download(first.asset_id) == {"f": b"two", "g": b"more"}
    assert await alice.download(content_id=first.content_id) == {"f": b"one"}
    listed = await alice.call("ListContents", pb.ListContentsRequest(asset_id=first.asset_id), pb.ListContentsResponse)
    assert list(listed.contents) == [second, first]
    asset = await alice.asset(first.asset_id)
    assert (asset.latest_content_id, asset.size_bytes, asset.file_count) == (second.content_id, 7, 2)


async def test_equal_bytes_give_the_same_content_and_leave_nothing(rig: Rig, alice: Person) -> None:
    files = {"f": content(PART + 1), "g": b"", "h": b"h"}
    first = await alice.upload(files)
    kept, used = rig.files, await _allocation(rig, alice)
    assert await alice.upload(files, asset_id=first.asset_id) == first
    assert rig.files == kept
    assert await _allocation(rig, alice) == used
    other = await alice.upload({"f": b"other"}, asset_id=first.asset_id)
    third = await alice.upload(files, asset_id=first.asset_id)
    assert (other.version, third.version) == (2, 3), "only the newest content counts"


async def test_two_sessions_on_one_asset_both_become_versions(alice: Person) -> None:
    base = await alice.upload({"f": b"base"})
    sessions = [await alice.create([file_of("f", data)], asset_id=base.asset_id) for data in (b"a", b"b")]
    for session, data in zip(sessions, (b"a", b"b"), strict=True):
        await alice.send(session.session_id, {0: data})
    later = await alice.commit(sessions[1].session_id, [b"b"])
    latest = await alice.commit(sessions[0].session_id, [b"a"])
    assert (later.version, latest.version) == (2, 3)
    assert await alice.download(base.asset_id) == {"f": b"a"}


async def test_a_draft_outlives_the_session_that_made_it_while_another_fills_it(alice: Person) -> None:
    made = await alice.create([file_of("f", b"a")], new_asset=alice.new_asset(alias="shared"))
    other = await alice.create([file_of("f", b"b")], asset_id=made.asset_id)
    await alice.abort(made.session_id)
    await alice.send(other.session_id, {0: b"b"})
    assert (await alice.commit(other.session_id, [b"b"])).asset_id == made.asset_id
    assert await alice.download("shared") == {"f": b"b"}


async def test_create_is_idempotent_by_request_id(alice: Person, bob: Person) -> None:
    data, request_id = content(PART), new_id("req")
    asset = alice.new_asset(alias="once", tags=["a"])
    asset.metadata.update({"k": 1, "z": [1, 2], "a": {"b": None}})
    first = await alice.create([file_of("f", data)], request_id=request_id, new_asset=asset)
    await alice.send(first.session_id, {0: data})
    again = await alice.create([file_of("f", data)], request_id=request_id, new_asset=asset)
    assert (again.session_id, again.asset_id) == (first.session_id, first.asset_id)
    await _fails("REQUEST_ID_REUSED", alice.create([file_of("g", data)], request_id=request_id, new_asset=asset))
    made = await alice.commit(first.session_id, [data])
    settled = await alice.create([file_of("f", data)], request_id=request_id, new_asset=asset)
    assert settled.content == made
    other = await bob.create([file_of("f", data)], request_id=request_id)
    assert other.session_id != first.session_id, "request ids are each caller's own"


async def test_an_aborted_session_gives_everything_back(rig: Rig, alice: Person) -> None:
    data, request_id = content(PART), new_id("req")
    fields = {"new_asset": alice.new_asset(alias="taken"), "request_id": request_id}
    session = await alice.create([file_of("f", data)], **fields)
    await alice.send(session.session_id, {0: data})
    await _fails("ALIAS_TAKEN", alice.create([file_of("f", data)], new_asset=alice.new_asset(alias="Taken")))
    for _ in range(2):
        await alice.abort(session.session_id)
    assert rig.files == []
    assert await _allocation(rig, alice) == (0, 0)
    await _fails("ASSET_NOT_FOUND", alice.asset(session.asset_id))
    await _fails("SESSION_NOT_FOUND", alice.commit(session.session_id, [data]))
    again = await alice.create([file_of("f", data)], **fields)
    assert again.session_id != session.session_id, "the request of an aborted session may be made again"


async def test_a_committed_session_cannot_be_changed(alice: Person) -> None:
    session = (await alice.create([file_of("f", b"f")])).session_id
    await alice.send(session, {0: b"f"})
    made = await alice.commit(session, [b"f"])
    await _fails("SESSION_COMMITTED", alice.abort(session))
    part = pb.Part(file_index=0, part_number=1, digest=digest_of(b"f"))
    await _fails("SESSION_COMMITTED", alice.sign(session, [part]))
    assert await alice.download(made.asset_id) == {"f": b"f"}


async def test_sessions_are_their_makers_own(alice: Person, bob: Person) -> None:
    session = (await alice.create([file_of("f", b"f")])).session_id
    part = pb.Part(file_index=0, part_number=1, digest=digest_of(b"f"))
    for call in (
        bob.sign(session, [part]),
        bob.stored(session),
        bob.commit(session, [b"f"]),
        bob.abort(session),
        alice.stored(new_id("upl")),
        alice.stored("../../etc"),
    ):
        await _fails("SESSION_NOT_FOUND", call)


async def test_others_see_nothing(alice: Person, bob: Person) -> None:
    made = await alice.upload({"f": b"f"})
    await _fails("ASSET_NOT_FOUND", bob.manifest(made.asset_id))
    await _fails("CONTENT_NOT_FOUND", bob.manifest(content_id=made.content_id))
    await _fails("ASSET_NOT_FOUND", bob.create([file_of("f", b"f")], asset_id=made.asset_id))
    request = pb.GetContentRequest(content_id=made.content_id)
    await _fails("CONTENT_NOT_FOUND", bob.call("GetContent", request, pb.Content))
    assert await alice.call("GetContent", request, pb.Content) == made
    other = await alice.upload({"f": b"g"})
    await _fails("CONTENT_NOT_FOUND", alice.manifest(other.asset_id, made.content_id))
    await _fails("INVALID_ARGUMENT", alice.manifest())


async def test_quota_is_checked_before_bytes_and_counts_open_sessions(tmp_path: object) -> None:
    async with running(tmp_path, quota_bytes=10 * MIB) as rig:  # type: ignore[arg-type]
        alice = await rig.person("alice@example.org")
        big = pb.UploadFile(path="f", size_bytes=6 * MIB, part_size_bytes=PART)
        held = await alice.create([big])
        error = await _fails("QUOTA_EXCEEDED", alice.create([big]))
        assert (error.metadata["freeBytes"], error.metadata["neededBytes"]) == (str(4 * MIB), str(6 * MIB))
        await alice.abort(held.session_id)
        made = await alice.upload({"f": content(6 * MIB)})
        await _fails("QUOTA_EXCEEDED", alice.create([big], asset_id=made.asset_id))
        assert (await alice.upload({"f": content(4 * MIB)})).version == 1


async def test_manifests_come_in_pages(alice: Person) -> None:
    files = {f"d{index % 7}/{index:05}.txt": f"{index}".encode() for index in range(30)}
    listed = [file_of(path, data) for path, data in files.items()]
    total = {"total_file_count": 30, "total_size_bytes": sum(map(len, files.values()))}
    session = await alice.create(listed[:10], **total)
    assert session.file_count == 10
    for first in (10, 5, 20, 10):
        request = pb.AddUploadFilesRequest(
            session_id=session.session_id, first_index=first, files=listed[first : first + 10]
        )
        session = await alice.call("AddUploadFiles", request, pb.UploadSession)
    assert session.file_count == 30
    twice = pb.AddUploadFilesRequest(session_id=session.session_id, first_index=session.file_count, files=listed[:1])
    await _fails("INVALID_ARGUMENT", alice.call("AddUploadFiles", twice, pb.UploadSession))
    gap = pb.AddUploadFilesRequest(session_id=session.session_id, first_index=31, files=listed[:1])
    await _fails("INVALID_ARGUMENT", alice.call("AddUploadFiles", gap, pb.UploadSession))
    other = pb.AddUploadFilesRequest(session_id=session.session_id, first_index=0, files=listed[1:2])
    await _fails("INVALID_ARGUMENT", alice.call("AddUploadFiles", other, pb.UploadSession))
    await alice.send(session.session_id, dict(enumerate(files.values())))
    made = await alice.commit(session.session_id, list(files.values()))
    found: list[str] = []
    token = ""
    while True:
        page = await alice.manifest(made.asset_id, page_size=7, page_token=token)
        found += [file.path for file in page.files]
        if not (token := page.next_page_token):
            break
    assert found == list(files)


async def test_an_incomplete_manifest_cannot_be_committed(alice: Person) -> None:
    session = await alice.create([file_of("f", b"f")], total_file_count=2, total_size_bytes=2)
    await alice.send(session.session_id, {0: b"f"})
    await _fails("INVALID_ARGUMENT", alice.commit(session.session_id, [b"f"]))


async def test_conflicts_between_pages_of_a_manifest_are_found(alice: Person) -> None:
    session = await alice.create([file_of("a/b", b"1")], total_file_count=2, total_size_bytes=2)
    for path in ("a", "a/b/c"):
        request = pb.AddUploadFilesRequest(session_id=session.session_id, first_index=1, files=[file_of(path, b"2")])
        await _fails("INVALID_ARGUMENT", alice.call("AddUploadFiles", request, pb.UploadSession))


async def test_a_page_of_a_download_stays_with_its_content(alice: Person) -> None:
    files = {"a": b"1", "b": b"2"}
    first = await alice.upload(files)
    page = await alice.manifest(first.asset_id, page_size=1)
    await alice.upload({"c": b"3", "d": b"4"}, asset_id=first.asset_id)
    rest = await alice.manifest(first.asset_id, page_size=1, page_token=page.next_page_token)
    assert (rest.content, [file.path for file in rest.files]) == (first, ["b"])


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [pb.Part(file_index=0, part_number=0, digest=bytes(16))],
        [pb.Part(file_index=0, part_number=3, digest=bytes(16))],
        [pb.Part(file_index=2, part_number=1, digest=bytes(16))],
        [pb.Part(file_index=-1, part_number=1, digest=bytes(16))],
        [pb.Part(file_index=1, part_number=1, digest=bytes(16))],
        [pb.Part(file_index=0, part_number=1, digest=bytes(15))],
        [pb.Part(file_index=0, part_number=1, digest=bytes(16))] * 2,
        [pb.Part(file_index=0, part_number=1, digest=bytes(16))] * 1001,
    ],
)
async def test_parts_that_cannot_be_are_refused(alice: Person, parts: list[pb.Part]) -> None:
    session = (await alice.create([file_of("f", content(2 * PART)), file_of("empty", b"")])).session_id
    await _fails("INVALID_ARGUMENT", alice.sign(session, parts))


async def test_ten_thousand_files_are_one_manifest(alice: Person) -> None:
    files = [file_of(f"d{index % 100}/{index:05}", b"") for index in range(9_999)] + [file_of("last", b"!")]
    session = (await alice.create(files)).session_id
    await alice.send(session, {9_999: b"!"})
    made = await alice.commit(session, [b""] * 9_999 + [b"!"])
    assert made.file_count == 10_000
    pages, token = 0, ""
    while True:
        page = await alice.manifest(made.asset_id, page_token=token)
        pages += 1
        if not (token := page.next_page_token):
            break
    assert pages == 10
    assert page.files[-1].path == "last"


async def test_a_commit_asks_the_catalogue_once(rig: Rig, alice: Person) -> None:
    """In a small upload each question costs as much as its answer."""
    await alice.make_project()
    session = await alice.create([file_of("f", b"x")])
    await alice.send(session.session_id, {0: b"x"})
    before = rig.database.statistics()
    await alice.commit(session.session_id, [b"x"])
    after = rig.database.statistics()
    assert (after.reads - before.reads, after.writes - before.writes) == (1, 1)
