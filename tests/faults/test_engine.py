"""What goes wrong on the way, below the engine: lost replies, damaged parts, a hub that is away, a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ferryd.core.model import EMBEDDED, DownloadSpec, IfExists, Limits, Part, StoredPart
from ferryd.core.states import Event, State
from ferryd.engine.retry import BUDGET
from ferryd.lanes import durable
from ferryd.lanes import publish as publishing
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError, Wait
from tests.support.engine import Bench, bench, block_digests, cleaned, eventually, upload_spec
from tests.support.files import make_file

UNREACHABLE = FerryError("HUB_UNREACHABLE", "no route", hub="h")


async def upload(b: Bench, path: Path) -> str:
    return (await b.engine.create_upload(upload_spec(path))).id


async def download(b: Bench, content: object, dest: Path) -> str:
    return (await b.engine.create_download(DownloadSpec(content.asset_id, str(dest)))).id  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["create_upload", "sign_parts", "commit_upload"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_call_or_reply_costs_nothing_but_time(tmp_path: Path, call: str, after: bool) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add(call, UNREACHABLE, after=after)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert len(b.hub.contents) == 1 and len(b.hub.requests) == 1
        assert done.resent_bytes == 0 or call == "sign_parts"
        assert len(b.lanes.sent) == 3, "no part may be sent twice"


async def test_a_new_session_begins_with_no_file_there(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 4096)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)
        one = await upload(b, path)
        await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        await b.store.update(one, present_file_count=1)  # as after a run that found it there, and could not commit
        b.hub.sessions.clear()
        done = await b.settled(one)
        assert (done.state, done.present_file_count) == (State.SUCCEEDED, 0), done.error


@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_list_of_what_is_stored_costs_nothing_but_time(tmp_path: Path, after: bool) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)  # ends the first attempt, after which the hub is asked
        b.hub.faults.add("list_parts", UNREACHABLE, after=after)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.faults.calls["list_parts"] == 2
        assert len(b.lanes.sent) == 3, "no part may be sent twice"


async def test_a_small_file_costs_the_queue_no_row_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path / "f", 4096)
    async with bench(tmp_path) as b:
        record, rows = b.store.record, list[StoredPart]()

        async def noting(transfer_id: str, *, parts: Sequence[StoredPart] = (), **fields: Any) -> object:
            rows.extend(parts)
            return await record(transfer_id, parts=parts, **fields)

        monkeypatch.setattr(b.store, "record", noting)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert [row.persisted for row in rows] == [True]
        rows.clear()
        assert (await b.settled(await upload(b, make_file(tmp_path / "g", MIB)))).state is State.SUCCEEDED
        assert [row.persisted for row in rows] == [False, True]


async def test_a_damaged_part_is_sent_again_alone(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 5 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.add("send", FerryError("CHUNK_CORRUPT", "flipped", partNumber=1), times=2)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED
        assert done.resent_bytes == 2 * MIB and done.attempts == 1
        assert (await b.engine.statistics()).retried_parts == 2


async def test_an_expired_url_is_signed_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.add("send", FerryError("SIGNATURE_INVALID", "expired"))
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and done.attempts == 1
        assert b.hub.faults.calls["sign_parts"] == 3


async def test_parts_the_hub_refuses_to_record_are_sent_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", MIB)
    async with bench(tmp_path, file_lane=True) as b:
        b.hub.faults.add("record_parts", FerryError("CHUNK_CORRUPT", "not what was said", partNumber=1))
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and done.resent_bytes == MIB


async def test_an_unreachable_hub_is_waited_for_however_long(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", UNREACHABLE, times=BUDGET + 4)
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        assert waiting.state is State.QUEUED and waiting.next_attempt_at is not None
        assert waiting.error is not None and waiting.error.reason == "HUB_UNREACHABLE"
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED and done.error is None


async def test_a_dead_hub_is_probed_by_one_transfer_not_by_all(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path, limits=Limits(running_transfers=4)) as b:
        b.hub.faults.always["create_upload"] = UNREACHABLE
        made = [await upload(b, path) for _ in range(50)]
        await b.until(made[0], lambda it: it.waiting_for is Wait.NETWORK)
        before, at = b.hub.faults.calls["create_upload"], b.clock.now()
        await eventually(lambda: b.hub.faults.calls["create_upload"] >= before + 5)
        assert b.clock.now() > at + 5, "five more calls take several seconds of the daemon's time"
        del b.hub.faults.always["create_upload"]
        for one in made:
            assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_hub_that_asks_to_wait_is_obeyed(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", FerryError("RATE_LIMITED", "slow down", retry_after_s=100))
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.RATE_LIMIT)
        # Not of `updated_at`: a write that takes a millisecond takes a second of this clock.
        assert waiting.next_attempt_at is not None and waiting.next_attempt_at >= waiting.created_at + 100
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_no_token_pauses_and_goes_on_by_itself(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", FerryError("TOKEN_EXPIRED", "expired"), times=2)
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.state is State.PAUSED)
        assert waiting.waiting_for is Wait.AUTH and await b.engine.active()
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_restart_tries_again_what_waited_for_a_token(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0  # the probe would take a minute
        b.hub.faults.add("create_upload", FerryError("NOT_SIGNED_IN", "no token"))
        one = await upload(b, path)
        await b.until(one, lambda it: it.state is State.PAUSED)
        await b.restart()
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_sign_in_resumes_what_waits_for_it_at_once(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0  # the probe would take an hour
        b.hub.faults.add("create_upload", FerryError("NOT_SIGNED_IN", "no token"), times=3)
        ids = [await upload(b, path) for _ in range(3)]
        for one in ids:
            await b.until(one, lambda it: it.state is State.PAUSED)
        assert await b.engine.signed_in(EMBEDDED) == 3
        for one in ids:
            assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_sign_in_just_before_a_transfer_pauses_for_it_is_not_missed(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0

        def sign_in_and_refuse() -> None:
            b.hubs.signed_in += 1
            raise FerryError("NOT_SIGNED_IN", "refused before the sign-in")

        b.hub.faults.add("create_upload", sign_in_and_refuse)
        assert (await b.settled(await upload(b, path))).state is State.SUCCEEDED


async def test_a_swept_session_starts_over_without_hashing_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 4 * MIB)
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:

        def sweep() -> None:
            b.hub.sessions.clear()

        b.lanes.faults.add("send", lambda: None)
        b.lanes.faults.add("send", lambda: None)
        b.lanes.faults.add("send", sweep)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert done.session_number == 1 and len(b.hub.requests) == 2
        assert len(b.lanes.hashed) == 4 and done.resent_bytes >= 2 * MIB


async def test_hopeless_errors_fail_at_once_and_abort_the_session(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.always["sign_parts"] = FerryError("QUOTA_EXCEEDED", "full", freeBytes=0, neededBytes=1)
        one = await upload(b, path)
        failed = await b.settled(one)
        assert failed.state is State.FAILED and failed.error is not None
        assert failed.error.reason == "QUOTA_EXCEEDED"
        await eventually(lambda: bool(b.hub.aborted))
        await cleaned(b)
        b.hub.faults.always.clear()
        await b.engine.resume(one)
        assert (await b.settled(one)).state is State.SUCCEEDED
        assert len(b.hub.contents) == 1


async def test_a_retryable_error_exhausts_its_budget_and_keeps_the_session(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.always["hash"] = FerryError("IO_ERROR", "bad sector", path=path)
        one = await upload(b, path)
        failed = await b.settled(one)
        assert failed.state is State.FAILED and failed.attempts == BUDGET
        assert not b.hub.aborted
        del b.lanes.faults.always["hash"]
        retried = await b.engine.retry(one)
        assert (retried.state, retried.attempts, retried.error) == (State.QUEUED, 0, None)
        assert (await b.settled(one)).state is State.SUCCEEDED
        assert len(b.hub.requests) == 1


async def test_a_source_that_changes_fails_and_commits_nothing(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:

        def touch() -> None:
            with path.open("r+b") as file:
                file.write(b"changed")

        b.lanes.faults.add("send", touch)
        failed = await b.settled(await upload(b, path))
        assert failed.error is not None and failed.error.reason == "SOURCE_CHANGED"
        assert not b.hub.contents


async def test_a_bug_fails_one_transfer_and_not_the_daemon(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:

        def bug() -> None:
            raise ZeroDivisionError

        b.lanes.faults.add("send", bug)
        failed = await b.settled(await upload(b, path))
        assert failed.error is not None and failed.error.reason == "INTERNAL" and failed.error.metadata["errorId"]
        assert (await b.settled(await upload(b, path))).state is State.SUCCEEDED


async def test_a_killed_daemon_sends_only_what_was_in_flight_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 8 * MIB)
    async with bench(tmp_path, limits=Limits(parts_in_flight=2)) as b:
        one = await upload(b, path)
        b.lanes.faults.add("send", lambda: None, times=4)
        b.lanes.faults.add("send", lambda: b.lanes.__setattr__("gate", asyncio.Event()))
        await asyncio.wait_for(b.lanes.at_gate.wait(), 10)
        before = len(b.lanes.sent)
        await b.close()
        assert b.lanes.gate is not None
        b.lanes.gate.set()
        await b.open()
        assert (await b.engine.get(one)).state is State.RUNNING, "as a kill leaves it"
        b.start()
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED
        assert len(b.lanes.sent) <= 8 + 2 and before >= 4
        assert len(b.lanes.hashed) <= 8 + 2, "hashing resumes too"
        assert done.resent_bytes <= 2 * MIB
        assert [event for event, *_ in await b.store.events(one)] == ["create", "claim", "recover", "claim", "complete"]


async def test_local_rows_that_claim_too_much_are_corrected_by_the_hub(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("commit_upload", UNREACHABLE)

        def lose() -> None:
            for session in b.hub.sessions.values():
                session.parts.pop((0, 2))
            raise UNREACHABLE

        b.hub.faults.add("commit_upload", lose)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert len(b.lanes.sent) == 4 and done.resent_bytes == MIB


async def test_a_part_that_arrives_damaged_is_fetched_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})
        b.lanes.damaged = frozenset({2})
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED and len(b.lanes.received) == 4
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)


async def test_damage_that_repeats_is_the_hubs(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * MIB})
        b.lanes.damaged = frozenset(range(100))
        failed = await b.settled(await download(b, content, tmp_path / "dest"))
        assert failed.error is not None and failed.error.reason == "BLOB_DAMAGED"
        await cleaned(b)
        assert list((tmp_path / "dest").iterdir()) == [], "neither a damaged file nor a part file stays"


async def test_a_renamed_file_published_just_before_the_crash_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "f.txt").write_bytes(b"mine")
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f.txt": b"theirs"})
        publish = b.files.publish

        def crash(*arguments: object) -> None:
            publish(*arguments)  # type: ignore[arg-type]
            raise FerryError("IO_ERROR", "as if it had died here", path=dest)

        monkeypatch.setattr(b.files, "publish", crash)
        spec = DownloadSpec(content.asset_id, str(dest), if_exists=IfExists.RENAME)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED and done.attempts == 2
        [file] = (await b.engine.list_files(done.id)).items
        assert file.local_path == str(dest / "f (1).txt") and not file.skipped
        assert sorted(one.name for one in dest.iterdir()) == ["f (1).txt", "f.txt"]


def synced_names(monkeypatch: pytest.MonkeyPatch, dest: Path, *, fail: int = 0) -> list[str]:
    """The names, below `dest`, of what is synced while files are published. The first syncs of `dest` fail."""
    sync, names, failures = durable.sync_file, list[str](), iter(range(fail))

    def noted(fd: int) -> None:
        inode = os.fstat(fd).st_ino
        [name] = [path.name for path in (dest, *dest.rglob("*")) if path.stat().st_ino == inode]
        if name == dest.name and next(failures, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        names.append(name)
        sync(fd)

    monkeypatch.setattr(publishing, "sync_file", noted)
    return names


@pytest.mark.parametrize("policy", list(IfExists))
async def test_a_file_renamed_by_a_run_that_died_is_synced_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: IfExists
) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f"})
        names = synced_names(monkeypatch, dest)

        def die(files: Sequence[tuple[Path, Path]], *_: object) -> None:
            for part_file, final in files:
                part_file.rename(final)
            raise FerryError("IO_ERROR", "as if it had died here", path=dest)

        monkeypatch.setattr(b.files, "publish", die)
        spec = DownloadSpec(content.asset_id, str(dest), if_exists=policy)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED, done.error
        assert names == ["f", "dest"]
        [file] = (await b.engine.list_files(done.id)).items
        assert file.digest and not file.skipped


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_download_whose_names_could_not_be_synced_is_renamed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f"})
        names, renamed, rename = synced_names(monkeypatch, dest, fail=failures), list[str](), publishing._rename

        def noted(directory: int, part: str, *rest: object) -> str:
            renamed.append(part)
            return rename(directory, part, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(publishing, "_rename", noted)
        done = await b.settled(await download(b, content, dest))
        assert done.state is State.SUCCEEDED and done.attempts == failures + 1 and done.resent_bytes == 0
        assert renamed == [f".f.{done.id}.ferry-part"] * (failures + 1), "each time from the part file"
        assert names == ["dest"]
        assert [path.name for path in dest.iterdir()] == ["f"]


async def test_expired_locations_are_renewed_once_for_all(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=2)) as b:
        content = b.hub.add_content({"f": b"f" * (4 * MIB)})
        b.lanes.faults.add("receive", FerryError("SIGNATURE_INVALID", "expired"), times=2)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED and b.hub.faults.calls["get_manifest"] in (2, 3)
        assert done.resent_bytes == 0, "a refused URL moves no byte"


async def test_a_full_disk_is_waited_for_and_what_is_there_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (4 * MIB)})
        full = FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)
        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", full, times=3)
        one = await download(b, content, tmp_path / "dest")
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.SPACE)
        assert waiting.state is State.QUEUED and waiting.next_attempt_at is not None
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED and sorted(b.lanes.received) == [0, MIB, 2 * MIB, 3 * MIB]


async def test_a_resumed_download_keeps_to_its_version(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        old = b.hub.add_content({"f": b"1" * (3 * MIB)})

        def newer() -> None:
            b.hub.add_content({"f": b"2" * (3 * MIB)}, asset_id=old.asset_id)
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None)
        b.lanes.faults.add("receive", newer)
        done = await b.settled(await download(b, old, tmp_path / "dest"))
        assert done.content_id == old.content_id
        assert (tmp_path / "dest" / "f").read_bytes() == b"1" * (3 * MIB)


async def test_part_rows_without_their_part_file_are_not_believed(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def vanish() -> None:
            for part_file in (tmp_path / "dest").iterdir():
                part_file.unlink()
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", vanish)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)
        assert sorted(b.lanes.received) == [0, 0, MIB, MIB, 2 * MIB]
        assert done.resent_bytes == 2 * MIB


@pytest.mark.parametrize("harm", [lambda part: part.write_bytes(b""), lambda part: os.truncate(part, MIB + 1)])
async def test_part_files_that_were_touched_meanwhile_are_not_believed(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def stop() -> None:
            for part_file in (tmp_path / "dest").iterdir():
                harm(part_file)
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", stop)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)
        assert b.lanes.looked_at == [0, MIB]
        assert done.resent_bytes in (MIB, 2 * MIB)


async def test_parts_that_are_here_already_do_not_count_as_progress(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def fail() -> None:
            raise FerryError("IO_ERROR", "the disk fails", path=tmp_path)

        b.lanes.faults.add("receive", lambda: None)
        b.lanes.faults.add("receive", fail, times=100)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.FAILED and done.persisted_bytes == MIB


async def test_a_full_disk_under_the_queue_loses_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        refusals = [FerryError("DISK_FULL", "no space for the queue", path=tmp_path, freeBytes=0)] * 3
        real = b.store.change

        async def change(transfer_id: str, event: Event, **fields: object) -> object:
            if refusals and event is Event.COMPLETE:
                raise refusals.pop()
            return await real(transfer_id, event, **fields)

        monkeypatch.setattr(b.store, "change", change)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and not refusals


async def test_hub_parts_that_differ_from_what_was_hashed_are_sent_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)
        one = await upload(b, path)
        await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        [session] = b.hub.sessions.values()
        session.parts[0, 1] = (b"x" * MIB, block_digests(b"x" * MIB))
        hashed = block_digests(path.read_bytes()[:MIB])
        await b.store.record(one, parts=[StoredPart(Part(0, 1, hashed), False)])
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.bytes_of(done.content_id)["f"] == path.read_bytes()
