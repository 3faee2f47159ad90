"""What survives: restarts between the steps of an upload, a disk that lost something, files shared with the caller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.catalogue import contents
from ferrywire.digest import BLOCK_BYTES
from ferrywire.parts import part_span
from ferrywire.reasons import FerryError
from tests.integration.hub_content.rig import PART, Person, Rig, blocks_of, content, digest_of, file_of, running

pytestmark = pytest.mark.slow

DATA = content(2 * PART + 5)


async def test_an_upload_goes_on_after_restarts_between_all_its_steps(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        alice = await rig.person("alice@example.org")
        session = (await alice.create([file_of("f", DATA)])).session_id
    token, project = alice.token, alice.project_id
    for number in (2, 1, 3):
        async with running(tmp_path) as rig:
            alice = Person(rig.url, token, project)
            assert (0, number) not in await alice.stored(session)
            assert (await alice.send_part(session, 0, number, DATA)).status_code == 200
            await alice.http.aclose()
    async with running(tmp_path) as rig:
        alice = Person(rig.url, token, project)
        made = await alice.commit(session, [DATA])
        await alice.http.aclose()
    async with running(tmp_path) as rig:
        alice = Person(rig.url, token, project)
        assert await alice.commit(session, [DATA]) == made
        assert await alice.download(made.asset_id) == {"f": DATA}
        await alice.http.aclose()


@pytest.mark.parametrize("step", ["before the content row", "after the content row"])
async def test_a_commit_cut_short_is_completed_by_a_repeat(
    rig: Rig, alice: Person, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    session = (await alice.create([file_of("f", DATA), file_of("g", b"g")])).session_id
    await alice.send(session, {0: DATA, 1: b"g"})

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("cut short")

    if step == "before the content row":
        monkeypatch.setattr(contents, "commit", crash)
    else:
        monkeypatch.setattr(LocalBlobStore, "discard", crash)
    with pytest.raises(FerryError) as caught:
        await alice.commit(session, [DATA, b"g"])
    assert caught.value.reason == "INTERNAL"
    monkeypatch.undo()
    made = await alice.commit(session, [DATA, b"g"])
    assert made.version == 1
    assert await alice.download(made.asset_id) == {"f": DATA, "g": b"g"}


async def test_bytes_that_the_disk_lost_are_sent_again(rig: Rig, alice: Person) -> None:
    files = [file_of("f", DATA), file_of("g", b"g")]
    session = (await alice.create(files)).session_id
    await alice.send(session, {0: DATA, 1: b"g"})
    (rig.root / "blobs" / "uploads" / session / "0").unlink()
    with pytest.raises(FerryError) as caught:
        await alice.commit(session, [DATA, b"g"])
    assert caught.value.reason == "PARTS_MISSING"
    assert await alice.stored(session) == [(1, 1)]
    await alice.send(session, {0: DATA})
    made = await alice.commit(session, [DATA, b"g"])
    assert await alice.download(made.asset_id) == {"f": DATA, "g": b"g"}


async def test_a_new_part_after_a_loss_voids_the_parts_recorded_before(rig: Rig, alice: Person) -> None:
    session = (await alice.create([file_of("f", DATA)])).session_id
    for number in (1, 2):
        await alice.send_part(session, 0, number, DATA)
    (rig.root / "blobs" / "uploads" / session / "0").unlink()
    await alice.send_part(session, 0, 3, DATA)
    assert await alice.stored(session) == [(0, 3)], "a hole must never pass for a part"


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "embedded", local_files=True) as rig:
        yield rig


async def _write(person: Person, session: str, index: int, data: bytes) -> list[pb.Part]:
    """Write all parts of a file to their file locations, as the daemon's file lane does."""
    parts = []
    for number in range(1, -(-len(data) // PART) + 1):
        offset, length = part_span(len(data), PART, number)
        piece = data[offset : offset + length]
        part = pb.Part(file_index=index, part_number=number, digest=digest_of(piece), block_digests=blocks_of(piece))
        (location,) = await person.sign(session, [part], accept_files=True)
        assert location.file.offset_bytes == offset
        fd = os.open(location.file.path, os.O_WRONLY)
        os.pwrite(fd, piece, offset)
        os.fsync(fd)
        os.close(fd)
        parts.append(part)
    return parts


async def _record(person: Person, session: str, parts: list[pb.Part]) -> None:
    request = pb.RecordPartsRequest(session_id=session, parts=parts)
    await person.call("RecordParts", request, pb.RecordPartsResponse)


async def test_files_on_one_machine_need_no_http(embedded: Rig) -> None:
    alice = await embedded.person("alice@example.org")
    session = (await alice.create([file_of("f", DATA), file_of("e", b"")])).session_id
    await _record(alice, session, await _write(alice, session, 0, DATA))
    made = await alice.commit(session, [DATA, b""])
    manifest = await alice.manifest(made.asset_id, accept_files=True)
    where = manifest.files[0].location.file
    assert await asyncio.to_thread(Path(where.path).read_bytes) == DATA
    assert where.offset_bytes == 0
    assert await alice.download(made.asset_id) == {"f": DATA, "e": b""}, "URLs work too when asked for"


async def test_file_locations_void_what_was_recorded(embedded: Rig) -> None:
    alice = await embedded.person("alice@example.org")
    session = (await alice.create([file_of("f", DATA)])).session_id
    parts = await _write(alice, session, 0, DATA)
    await _record(alice, session, parts)
    await alice.sign(session, [parts[1]], accept_files=True)
    assert await alice.stored(session) == [(0, 1), (0, 3)], "somebody may be overwriting it now"


@pytest.mark.parametrize("damage", ["digest", "block", "missing block", "file"])
async def test_parts_that_do_not_fit_are_not_recorded(embedded: Rig, damage: str) -> None:
    alice = await embedded.person("alice@example.org")
    session = (await alice.create([file_of("f", DATA)])).session_id
    parts = await _write(alice, session, 0, DATA)
    if damage == "digest":
        parts[0].digest = bytes(16)
    if damage == "block":
        parts[0].block_digests = bytes(16) + parts[0].block_digests[16:]
    if damage == "missing block":
        parts[0].block_digests = parts[0].block_digests[: 16 * (PART // BLOCK_BYTES - 1)]
    if damage == "file":
        (embedded.root / "blobs" / "uploads" / session / "0").unlink()
    with pytest.raises(FerryError) as caught:
        await _record(alice, session, parts)
    assert caught.value.reason == "CHUNK_CORRUPT"
    assert await alice.stored(session) == []


async def test_a_hub_elsewhere_takes_nobodys_word_for_parts(rig: Rig, alice: Person) -> None:
    session = (await alice.create([file_of("f", b"f")])).session_id
    part = pb.Part(file_index=0, part_number=1, digest=digest_of(b"f"), block_digests=blocks_of(b"f"))
    (location,) = await alice.sign(session, [part], accept_files=True)
    assert location.WhichOneof("kind") == "url"
    with pytest.raises(FerryError) as caught:
        await _record(alice, session, [part])
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert await alice.stored(session) == []
