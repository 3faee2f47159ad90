"""Uploads of small files to a hub that takes them together: what goes in a pack, and what a failure costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferryd.core.model import DownloadSpec, Transfer, TransferFile
from ferryd.core.states import State
from ferryd.engine.batches import packed
from ferryd.engine.delivery import TRIES
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.support.engine import Bench, bench, upload_spec
from tests.support.files import make_file

CORRUPT = FerryError("CHUNK_CORRUPT", "damaged on the way", partNumber="")


def small_files(root: Path, *sizes: int) -> Path:
    for number, size in enumerate(sizes):
        make_file(root / f"f{number:03}", size)
    return root


def packing(b: Bench, pack_bytes: int = 8 * MIB) -> None:
    b.hub.direct_part_bytes = MIB
    b.hub.pack_bytes = pack_bytes


async def uploaded(b: Bench, root: Path) -> Transfer:
    queued = await b.engine.create_upload(upload_spec(root))
    done = await b.settled(queued.id)
    assert done.state is State.SUCCEEDED, done.error
    kept = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert b.hub.bytes_of(done.content_id) == kept
    assert done.persisted_bytes == done.size_bytes
    return done


def file_rows(*sizes: int) -> list[TransferFile]:
    return [TransferFile(index, f"f{index}", "", size, MIB) for index, size in enumerate(sizes)]


def test_whole_files_go_together_and_nothing_else() -> None:
    files = file_rows(5, MIB + 3, 7, 9)
    batch = [(0, 1), (1, 2), (2, 1), (3, 1)]
    assert packed(batch, files, MIB) == ([(0, 1), (2, 1), (3, 1)], [(1, 2)])
    assert packed(batch, files, 20) == ([], batch), "too long for a pack"
    assert packed(batch[:2], files, MIB) == ([], batch[:2]), "one file is no pack"
    assert packed(batch, files, 0) == ([], batch)


async def test_small_files_are_sent_in_packs_and_large_ones_are_not(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", *[100] * 20, 0, 3 * MIB + 5, 200)
    async with bench(tmp_path) as b:
        packing(b)
        done = await uploaded(b, root)
        assert b.lanes.visits["pack"] > 0
        assert sorted(name for name, _ in b.lanes.sent).count("f021") == 4, "each of its parts by itself"
        assert len(b.lanes.sent) == 21 + 4, "and nothing twice"
        assert done.resent_bytes == 0


async def test_a_hub_that_takes_no_packs_gets_each_file_by_itself(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", *[100] * 5)
    async with bench(tmp_path) as b:
        packing(b, 0)
        await uploaded(b, root)
        assert b.hub.faults.calls["sign_pack"] == 0


async def test_no_pack_is_longer_than_the_hub_takes(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", *[200_000] * 40)
    async with bench(tmp_path) as b:
        packing(b, 500_000)
        await uploaded(b, root)
        assert b.hub.faults.calls["sign_pack"] >= 20


@pytest.mark.parametrize("fault", ["send_pack", "record_parts"])
async def test_a_damaged_pack_is_sent_again_and_no_other(tmp_path: Path, fault: str) -> None:
    root = small_files(tmp_path / "run", *[100] * 96)
    async with bench(tmp_path) as b:
        packing(b)
        (b.lanes if fault == "send_pack" else b.hub).faults.add(fault, CORRUPT)
        done = await uploaded(b, root)
        assert done.attempts == 1
        assert done.resent_bytes == 3_200, "the 32 files of one pack"


async def test_a_pack_that_is_damaged_every_time_ends_the_attempt_and_the_next_one_sends_it(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", 10, 20)
    async with bench(tmp_path) as b:
        packing(b)
        b.lanes.faults.add("send_pack", CORRUPT, times=TRIES)
        done = await uploaded(b, root)
        assert done.attempts == 2
        assert (b.hub.faults.calls["sign_pack"], b.hub.faults.calls["sign_parts"]) == (TRIES + 1, 0)


async def test_urls_that_were_too_old_cost_nothing(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", 10, 20)
    async with bench(tmp_path) as b:
        packing(b)
        b.lanes.faults.add("send_pack", FerryError("SIGNATURE_INVALID", "expired"), times=3)
        done = await uploaded(b, root)
        assert (done.attempts, done.resent_bytes) == (1, 0)


async def test_a_file_whose_bytes_changed_without_a_trace_fails_the_upload(tmp_path: Path) -> None:
    """Size and times are as they were: the hub says that other bytes came, and what was hashed is looked at again."""
    root = small_files(tmp_path / "run", 10, 20)
    async with bench(tmp_path) as b:
        packing(b)
        b.hub.direct_part_bytes = 0  # no CRC: nobody notices before the hub is told
        hash_pack = b.lanes.hash_pack

        async def hash_and_change(*args: Any, **kwargs: Any) -> Any:
            found = await hash_pack(*args, **kwargs)
            (root / "f001").write_bytes(b"y" * 20)
            return found

        b.lanes.hash_pack = hash_and_change  # type: ignore[method-assign]
        done = await b.settled((await b.engine.create_upload(upload_spec(root))).id)
        assert done.error is not None and done.error.reason == "SOURCE_CHANGED"
        assert done.attempts == 1, "the same run has noticed"


@pytest.mark.parametrize("reason", ["INVALID_ARGUMENT", "UNIMPLEMENTED"])
async def test_a_hub_that_takes_no_packs_after_all_gets_each_file_by_itself(tmp_path: Path, reason: str) -> None:
    """As one of an older release, or with other settings, may in the midst of an upload."""
    root = small_files(tmp_path / "run", *[100] * 200, 3 * MIB)
    async with bench(tmp_path) as b:
        packing(b)
        b.hub.faults.always["sign_pack"] = FerryError(reason, "no packs", field="pack")
        done = await uploaded(b, root)
        assert (done.attempts, done.pack_bytes) == (1, 0)


async def test_the_next_run_goes_on_in_packs_though_it_opens_no_session(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", *[100] * 8)
    async with bench(tmp_path) as b:
        packing(b)
        b.hub.faults.add("record_parts", FerryError("PARTS_MISSING", "gone", missingCount=1))
        done = await uploaded(b, root)
        assert done.attempts == 2
        calls = b.hub.faults.calls
        assert (calls["create_upload"], calls["sign_pack"], calls["sign_parts"]) == (1, 2, 0)


async def test_who_downloads_some_files_of_a_content_gets_those(tmp_path: Path) -> None:
    root = small_files(tmp_path / "run", *[100] * 8)
    async with bench(tmp_path) as b:
        packing(b)
        done = await uploaded(b, root)
        spec = DownloadSpec(done.asset_id, str(tmp_path / "dl"), include=("f00[246]",))
        down = await b.settled((await b.engine.create_download(spec)).id)
        assert down.state is State.SUCCEEDED, down.error
        assert sorted(path.name for path in (tmp_path / "dl").iterdir()) == ["f002", "f004", "f006"]
