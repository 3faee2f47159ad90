"""Uploads to a hub whose store takes the parts itself: checksums, reports, part sizes, URLs that were too old."""

from __future__ import annotations

from pathlib import Path

from ferryd.core.model import CRC64NVME, Transfer
from ferryd.core.states import State
from ferryd.engine.delivery import SIGNATURES
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.support.engine import Bench, bench, upload_spec
from tests.support.files import make_file

GONE = FerryError("PARTS_MISSING", "the store answered PUT with NoSuchUpload", missingCount=1)
OLD = FerryError("SIGNATURE_INVALID", "expired")


async def uploaded(b: Bench, path: Path) -> Transfer:
    queued = await b.engine.create_upload(upload_spec(path))
    done = await b.settled(queued.id)
    assert done.state is State.SUCCEEDED, done.error
    assert b.hub.bytes_of(done.content_id) == {path.name: path.read_bytes()}
    return done


async def test_parts_are_reported_before_they_count(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 5 * MIB + 1)
    async with bench(tmp_path) as b:
        b.hub.direct_part_bytes = MIB
        done = await uploaded(b, path)
        assert done.part_checksum == CRC64NVME
        assert b.hub.faults.calls["record_parts"] > 0
        [session] = b.hub.sessions.values()
        assert session.arrived == {}


async def test_smaller_parts_than_the_stores_are_cut_anew(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 7 * MIB + 1)
    async with bench(tmp_path) as b:
        b.hub.direct_part_bytes = 2 * MIB
        b.hub.faults.add("create_upload", FerryError("HUB_UNREACHABLE", "lost", hub=""), after=True)
        queued = await b.engine.create_upload(upload_spec(path))
        assert queued.chunk_count == 8
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert (done.chunk_count, done.chunk_index, done.persisted_bytes) == (4, 4, 7 * MIB + 1)
        assert sorted(at for _, at in b.lanes.sent) == [0, 2 * MIB, 4 * MIB, 6 * MIB]
        [file] = (await b.engine.list_files(done.id)).items
        assert file.part_bytes == 2 * MIB
        assert b.hub.bytes_of(done.content_id) == {"data.bin": path.read_bytes()}


async def test_what_was_stored_and_not_reported_is_sent_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 4 * MIB)
    async with bench(tmp_path) as b:
        b.hub.direct_part_bytes = MIB
        b.hub.faults.add("record_parts", FerryError("HUB_UNREACHABLE", "away", hub=""))
        done = await uploaded(b, path)
        assert done.resent_bytes <= 4 * MIB
        assert len(b.lanes.sent) <= 8


async def test_a_lost_upload_costs_an_attempt_and_the_hub_is_asked_what_is_left(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.direct_part_bytes = MIB
        b.lanes.faults.add("send", GONE)
        await uploaded(b, path)
        assert b.hub.faults.calls["list_parts"] == 1, "a session that was opened a moment ago has nothing"
        assert b.hub.faults.calls["create_upload"] == 1, "the session is as good as before"


async def test_urls_that_are_too_old_cost_no_attempt(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", MIB)
    async with bench(tmp_path) as b:
        b.hub.direct_part_bytes = MIB
        b.lanes.faults.add("send", OLD, times=SIGNATURES - 1)
        assert (await uploaded(b, path)).attempts == 1
        up = b.hub.add_content({"f": b"x" * MIB})
        b.lanes.faults.add("receive", OLD, times=SIGNATURES - 1)
        from ferryd.core.model import DownloadSpec

        queued = await b.engine.create_download(DownloadSpec(up.asset_id, str(tmp_path / "dl")))
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert (tmp_path / "dl" / "f").read_bytes() == b"x" * MIB


async def test_a_store_whose_clock_is_wrong_ends_the_attempt_all_the_same(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.always["send"] = OLD
        queued = await b.engine.create_upload(upload_spec(path))
        done = await b.settled(queued.id)
        assert done.state is State.FAILED
        assert done.error is not None and done.error.reason == "SIGNATURE_INVALID"


async def test_parts_hashed_without_the_checksum_are_hashed_once_more(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 3 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.add("send", FerryError("SESSION_NOT_FOUND", "swept", sessionId="x"), times=3)
        queued = await b.engine.create_upload(upload_spec(path))
        await b.until(queued.id, lambda one: one.session_number == 1)
        b.hub.direct_part_bytes = MIB
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.bytes_of(done.content_id) == {"data.bin": path.read_bytes()}
