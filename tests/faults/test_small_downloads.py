"""What goes wrong in the middle of a batch of small files costs the one that it happened to, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ferryd.core.model import DownloadSpec, Limits, Transfer
from ferryd.core.states import State
from ferryd.engine.delivery import TRIES
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.support.engine import Bench, bench
from tests.support.files import tree

#: 160 files make 16 batches of 10; one slot, so that it is known which comes when.
FILES = {f"{top}/{number:03d}": f"{top}{number}".encode() * 5 for top in "ab" for number in range(80)}
BATCHES = 16
ONE = Limits(parts_in_flight=1)


async def begin(b: Bench, dest: Path) -> str:
    content = b.hub.add_content(FILES)
    return (await b.engine.create_download(DownloadSpec(content.asset_id, str(dest)))).id


async def arrived(b: Bench, dest: Path) -> Transfer:
    """The transfer after all have come through."""
    done = await b.settled(await begin(b, dest))
    assert done.state is State.SUCCEEDED, done.error
    assert all((dest / path).read_bytes() == data for path, data in FILES.items())
    assert len(tree(dest)) == len(FILES)
    return done


def after(b: Bench, calls: int, error: FerryError, *, times: int = 1) -> None:
    """This happens to the part that is fetched after so many."""
    b.lanes.faults.add("receive", lambda: None, times=calls)
    b.lanes.faults.add("receive", error, times=times)


async def test_small_files_share_visits_to_threads(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        await arrived(b, tmp_path / "dest")
        assert b.lanes.visits == {"receive short": BATCHES} and len(b.lanes.received) == len(FILES)
        assert b.engine.counters.received_parts == len(FILES)


async def test_a_hiccup_in_the_middle_costs_that_file_again(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        after(b, 4, FerryError("HUB_OVERLOADED", "slow down"), times=2)
        done = await arrived(b, tmp_path / "dest")
        assert len(b.lanes.received) == len(FILES) and b.lanes.visits["receive short"] == BATCHES + 2
        counters = b.engine.counters
        assert (counters.retried_parts, counters.received_parts) == (2, len(FILES))
        assert counters.failed_parts == {"HUB_OVERLOADED": 2}
        assert done.resent_bytes == 2 * len(FILES["a/004"])
        assert done.attempts == 1


async def test_a_file_that_arrives_damaged_in_the_middle_is_fetched_again(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        b.lanes.damaged = frozenset({5, 12})
        done = await arrived(b, tmp_path / "dest")
        assert len(b.lanes.received) == len(FILES) + 2
        assert done.resent_bytes == len(FILES["a/004"]) + len(FILES["a/010"])
        assert b.engine.counters.failed_parts == {"CHUNK_CORRUPT": 2}


async def test_each_file_of_a_batch_has_its_own_tries(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        for _ in range(3):
            after(b, 1, FerryError("HUB_OVERLOADED", "slow down"), times=TRIES - 1)
        assert (await arrived(b, tmp_path / "dest")).attempts == 1


async def test_urls_that_expire_in_the_middle_are_renewed_for_the_rest(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        after(b, 4, FerryError("SIGNATURE_INVALID", "expired"))
        done = await arrived(b, tmp_path / "dest")
        assert b.hub.faults.calls["get_manifest"] == 2 and len(b.lanes.received) == len(FILES)
        assert done.resent_bytes == 0, "a refused URL moves no byte"


async def test_what_came_before_an_error_that_ends_the_attempt_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:
        after(b, 4, FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0))
        await arrived(b, tmp_path / "dest")
        assert len(b.lanes.received) == len(FILES)


async def test_a_pause_in_the_middle_keeps_what_has_come(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=ONE) as b:

        def close_gate() -> None:
            b.lanes.gate = asyncio.Event()

        b.lanes.faults.add("receive", lambda: None, times=13)
        b.lanes.faults.add("receive", close_gate)
        one = await begin(b, tmp_path / "dest")
        async with asyncio.timeout(10):
            await b.lanes.at_gate.wait()
        await b.engine.pause(one)
        async with asyncio.timeout(10):
            # A batch of ten, and four of the next.
            while sum(file.done for file in await b.store.files(one)) != 14:  # noqa: ASYNC110 - rows have no events
                await asyncio.sleep(0.001)
        b.lanes.gate = None
        await b.engine.resume(one)
        assert (await b.settled(one)).state is State.SUCCEEDED
        assert len(b.lanes.received) == len(FILES), "none came twice"
        assert len(tree(tmp_path / "dest")) == len(FILES)


async def test_a_file_in_several_batches_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=4)) as b:
        prepared: list[str] = []
        prepare = b.files.prepare

        def counted(dest_dir: str, path: str, *rest: object) -> Path:
            prepared.append(path)
            return prepare(dest_dir, path, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(b.files, "prepare", counted)
        content = b.hub.add_content({"f": b"f" * (6 * MIB), **FILES})
        spec = DownloadSpec(content.asset_id, str(tmp_path / "dest"))
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED, done.error
        assert prepared == ["f"], "short files are never there in part"
