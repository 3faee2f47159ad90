"""What every blob store must do, whatever it is made of. A store's test file subclasses this and gives a `Rig`."""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import pytest

from ferryhub.blobs.store import BlobStore, StagedFile, SupportsPartWrites, SupportsReads, blob_key
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count, part_span

PART = 2 * MIB
SIZES = [1, MIB - 1, MIB, MIB + 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1]


class HubStore(BlobStore, SupportsPartWrites, SupportsReads, Protocol):
    """A store with the capabilities that the byte endpoint needs."""


class Rig(ABC):
    """How to get at one store. Every call of `store` gives a new object on the same kept bytes, as after a restart."""

    @abstractmethod
    def store(self) -> HubStore: ...


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that tell any mix-up of parts, blocks or versions."""
    return random.Random(f"{seed}:{size}").randbytes(size)


def put(store: HubStore, file: StagedFile, data: bytes, number: int) -> None:
    """Write and sync one part, in windows that are not whole blocks."""
    offset, length = part_span(file.size_bytes, PART, number)
    writer = store.open_part(file, offset)
    view = memoryview(data)[offset : offset + length]
    for at in range(0, length, 700_001):
        writer.write(view[at : at + 700_001])
    writer.sync()
    writer.close()


def put_all(store: HubStore, file: StagedFile, data: bytes) -> None:
    for number in range(1, part_count(file.size_bytes, PART) + 1):
        put(store, file, data, number)


def read(store: HubStore, key: str) -> bytes | None:
    reader = store.open_blob(key)
    if reader is None:
        return None
    try:
        return b"".join(reader.read(at, MIB) for at in range(0, reader.size_bytes, MIB))
    finally:
        reader.close()


class BlobStoreSuite:
    """The contract. Tests use nothing but the protocols."""

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        raise NotImplementedError

    @pytest.mark.parametrize("size", SIZES)
    def test_what_is_put_in_parts_comes_back_as_one_blob(self, rig: Rig, size: int) -> None:
        store, file, data = rig.store(), StagedFile(new_id("upl"), 0, size), content(size)
        numbers = list(range(1, part_count(size, PART) + 1))
        random.Random(size).shuffle(numbers)
        for number in numbers:
            put(store, file, data, number)
        assert store.publish([file]) == []
        assert read(store, file.key) == data

    def test_a_part_may_be_put_again(self, rig: Rig) -> None:
        store, file, data = rig.store(), StagedFile(new_id("upl"), 0, 2 * PART), content(2 * PART)
        put_all(store, file, content(2 * PART, seed=2))
        put_all(store, file, data)
        put(store, file, data, 1)
        store.publish([file])
        assert read(store, file.key) == data

    def test_ranges_are_exact(self, rig: Rig) -> None:
        store, file, data = rig.store(), StagedFile(new_id("upl"), 0, PART + 5), content(PART + 5)
        put_all(store, file, data)
        store.publish([file])
        reader = store.open_blob(file.key)
        assert reader is not None
        assert reader.size_bytes == PART + 5
        for first, count in [(0, 1), (MIB - 1, 2), (PART, 5), (PART + 4, 100)]:
            assert reader.read(first, count) == data[first : first + count]
        reader.close()

    def test_staged_bytes_are_not_readable_before_they_are_published(self, rig: Rig) -> None:
        store, file = rig.store(), StagedFile(new_id("upl"), 0, PART)
        assert not store.holds(file)
        put_all(store, file, content(PART))
        assert store.holds(file)
        assert store.open_blob(file.key) is None

    def test_publishing_again_after_a_restart_changes_nothing(self, rig: Rig) -> None:
        file, data = StagedFile(new_id("upl"), 0, PART), content(PART)
        put_all(rig.store(), file, data)
        for _ in range(3):
            assert rig.store().publish([file]) == []
            assert rig.store().holds(file)
        assert read(rig.store(), file.key) == data

    def test_publishing_goes_on_where_it_was_cut_short(self, rig: Rig) -> None:
        session = new_id("upl")
        files = [StagedFile(session, index, PART + index) for index in range(3)]
        for file in files:
            put_all(rig.store(), file, content(file.size_bytes))
        rig.store().publish(files[:2])
        assert rig.store().publish(files) == []
        assert [read(rig.store(), file.key) for file in files] == [content(file.size_bytes) for file in files]

    def test_nothing_is_published_when_a_file_is_missing(self, rig: Rig) -> None:
        session = new_id("upl")
        there, missing = StagedFile(session, 0, PART), StagedFile(session, 1, PART)
        put_all(rig.store(), there, content(PART))
        assert rig.store().publish([there, missing]) == [missing]
        assert rig.store().open_blob(there.key) is None

    def test_a_part_can_still_be_replaced_after_a_publish_that_was_cut_short(self, rig: Rig) -> None:
        file, old, new = StagedFile(new_id("upl"), 0, 2 * PART), content(2 * PART), content(2 * PART, seed=2)
        put_all(rig.store(), file, old)
        rig.store().publish([file])
        put(rig.store(), file, new, 2)
        assert rig.store().publish([file]) == []
        assert read(rig.store(), file.key) == old[:PART] + new[PART:]

    def test_a_closed_writer_writes_no_more(self, rig: Rig) -> None:
        store, file = rig.store(), StagedFile(new_id("upl"), 0, PART)
        writer = store.open_part(file, 0)
        writer.write(memoryview(b"x"))
        writer.close()
        writer.close()
        with pytest.raises(ValueError, match="closed"):
            writer.write(memoryview(b"y"))

    def test_discard_removes_what_is_staged_and_keeps_what_is_published(self, rig: Rig) -> None:
        store, session = rig.store(), new_id("upl")
        kept, dropped = StagedFile(session, 0, PART), StagedFile(session, 1, PART)
        for file in (kept, dropped):
            put_all(store, file, content(PART))
        store.publish([kept])
        for _ in range(2):
            store.discard(session)
        assert read(store, kept.key) == content(PART)
        assert not store.holds(dropped)
        assert list(store.sessions()) == []

    def test_delete_is_repeatable_and_touches_one_blob(self, rig: Rig) -> None:
        store, session = rig.store(), new_id("upl")
        files = [StagedFile(session, index, MIB) for index in range(2)]
        for file in files:
            put_all(store, file, content(MIB, seed=file.file_index))
        store.publish(files)
        for _ in range(2):
            store.delete(files[0].key)
        assert read(store, files[0].key) is None
        assert read(store, files[1].key) == content(MIB, seed=1)

    def test_listings_name_sessions_and_blobs_with_the_time_of_their_last_use(self, rig: Rig) -> None:
        store = rig.store()
        files = [StagedFile(new_id("upl"), 0, MIB) for _ in range(2)]
        for file in files:
            put_all(store, file, content(MIB))
        assert {stored.name for stored in store.sessions()} == {file.session_id for file in files}
        store.publish(files[:1])
        (published,) = store.blobs()
        assert published.name == blob_key(files[0].session_id, 0)
        (staged,) = (stored for stored in store.sessions() if stored.name == files[1].session_id)
        assert abs(staged.touched_at - published.touched_at) < 60

    def test_sessions_do_not_meet(self, rig: Rig) -> None:
        store = rig.store()
        files = [StagedFile(new_id("upl"), 0, PART) for _ in range(2)]
        for file, number in itertools.product(files, [1]):
            put(store, file, content(PART, seed=files.index(file)), number)
        store.publish(files)
        assert [read(store, file.key) for file in files] == [content(PART, seed=seed) for seed in (0, 1)]

    @pytest.mark.parametrize("key", ["../../etc/passwd", "", "x", "01JD0000000000000000000000-0/../x", "-0", "a-1"])
    def test_only_keys_the_hub_made_are_names(self, rig: Rig, key: str) -> None:
        with pytest.raises(ValueError, match="blob key"):
            rig.store().delete(key)

    @pytest.mark.parametrize("session", ["..", "upl_", "", "upl_../../x", "/"])
    def test_only_sessions_the_hub_made_are_names(self, rig: Rig, session: str) -> None:
        with pytest.raises(ValueError, match="session id"):
            rig.store().discard(session)
