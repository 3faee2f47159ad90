"""Uploads through the engine, nothing going wrong. Faults are in tests/faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ferryd.core.model import Limits, Phase
from ferryd.core.states import State
from ferrywire import digest
from ferrywire.parts import MIB
from ferrywire.reasons import Wait
from tests.support.engine import bench, eventually, upload_spec
from tests.support.files import make_file


@pytest.mark.parametrize("file_lane", [False, True])
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 3])
async def test_any_size_arrives_whole(tmp_path: Path, size: int, file_lane: bool) -> None:
    path = make_file(tmp_path / "data.bin", size)
    async with bench(tmp_path, file_lane=file_lane) as b:
        queued = await b.engine.create_upload(upload_spec(path))
        assert (queued.state, queued.waiting_for, queued.size_bytes) == (State.QUEUED, Wait.SLOT, size)
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.bytes_of(done.content_id) == {"data.bin": path.read_bytes()}
        assert done.persisted_bytes == done.size_bytes == size
        assert done.chunk_index == done.chunk_count == -(-size // MIB)
        assert (done.resent_bytes, done.error, done.phase, done.waiting_for) == (0, None, None, None)
        assert done.digest == b.hub.contents[done.content_id][0].digest
        [file] = (await b.engine.list_files(done.id)).items
        assert file.done and file.persisted_bytes == size
        assert file.digest == digest.of_bytes(path.read_bytes())


async def test_a_directory_of_many_small_files_takes_few_calls(tmp_path: Path) -> None:
    for number in range(600):
        make_file(tmp_path / "many" / f"d{number % 7}" / f"f{number}", 100 + number, seed=number)
    (tmp_path / "many" / "empty").touch()
    async with bench(tmp_path) as b:
        queued = await b.engine.create_upload(upload_spec(tmp_path / "many"))
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert done.file_count == 601
        assert len(b.hub.bytes_of(done.content_id)) == 601
        assert b.hub.faults.calls["sign_parts"] <= 20
        page = await b.engine.list_files(done.id, page_size=500)
        rest = await b.engine.list_files(done.id, page_size=500, page_token=page.next_page_token)
        paths = [file.path for file in page.items + rest.items]
        assert paths == sorted(paths, key=str.encode) and len(paths) == 601 and not rest.next_page_token
        assert all(file.done and file.digest for file in page.items + rest.items)


async def test_progress_is_exact_and_full_only_at_the_end(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", 6 * MIB)
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        b.lanes.gate = asyncio.Event()
        queued = await b.engine.create_upload(upload_spec(path))
        seen = []

        async def watch() -> None:
            async for transfer, initial in b.engine.subscribe([queued.id], 0.0):
                seen.append((transfer, initial))

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(watch())
            await b.lanes.at_gate.wait()
            b.lanes.gate.set()
        transfers = [transfer for transfer, _ in seen]
        assert [initial for _, initial in seen][:2] == [True, False]
        bytes_done = [transfer.persisted_bytes for transfer in transfers]
        assert bytes_done == sorted(bytes_done)
        assert all(one.persisted_bytes == one.chunk_index * MIB for one in transfers)
        assert [one.state for one in transfers if one.persisted_bytes == one.size_bytes] == [State.SUCCEEDED]
        states = [one.state for one in transfers]
        assert states[-1] is State.SUCCEEDED and State.RUNNING in states
        assert {one.file_name for one in transfers} == {"data.bin"}
        assert all(one.phase for one in transfers if one.state is State.RUNNING)


async def test_phases_are_shown_and_cleared(tmp_path: Path) -> None:
    path = make_file(tmp_path / "data.bin", MIB)
    async with bench(tmp_path) as b:
        b.lanes.gate = asyncio.Event()
        queued = await b.engine.create_upload(upload_spec(path))
        await b.until(queued.id, lambda one: one.phase is Phase.SENDING)
        assert (await b.engine.get(queued.id)).phase is Phase.SENDING
        [listed] = (await b.engine.list(states=[State.RUNNING])).items
        assert listed.phase is Phase.SENDING
        b.lanes.gate.set()
        assert (await b.settled(queued.id)).phase is None


async def test_parts_in_flight_are_limited_over_all_transfers(tmp_path: Path) -> None:
    paths = [make_file(tmp_path / f"f{number}", 6 * MIB) for number in range(3)]
    async with bench(tmp_path, limits=Limits(parts_in_flight=4)) as b:
        b.lanes.gate = asyncio.Event()
        queued = [await b.engine.create_upload(upload_spec(path)) for path in paths]
        await eventually(lambda: b.lanes.in_flight == 4)
        b.lanes.gate.set()
        for one in queued:
            assert (await b.settled(one.id)).state is State.SUCCEEDED
        assert b.lanes.most_in_flight == 4


async def test_a_second_upload_of_an_asset_is_a_version(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        spec = upload_spec(path, title="", owner_type="", owner_id="", asset_id="ast_1")
        done = await b.settled((await b.engine.create_upload(spec)).id)
        assert (done.asset_id, done.title) == ("ast_1", "f")


async def test_statistics_count_what_moved(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        done = await b.settled((await b.engine.create_upload(upload_spec(path))).id)
        statistics = await b.engine.statistics()
        assert statistics.sent_bytes == 3 * MIB
        assert statistics.transfers[State.SUCCEEDED] == 1 and statistics.transfers[State.RUNNING] == 0
        assert not await b.engine.active()
        assert [event for event, *_ in await b.store.events(done.id)] == ["create", "claim", "complete"]


async def test_small_parts_share_calls_and_visits_to_threads(tmp_path: Path) -> None:
    for number in range(160):
        make_file(tmp_path / "many" / f"{number}", 100)
    async with bench(tmp_path) as b:
        done = await b.settled((await b.engine.create_upload(upload_spec(tmp_path / "many"))).id)
        assert done.state is State.SUCCEEDED and len(b.lanes.sent) == 160
        assert b.lanes.visits == {"hash": 16, "send": 16}
        assert b.hub.faults.calls["sign_parts"] == 16
