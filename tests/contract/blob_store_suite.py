"""What every blob store must do, whatever it is made of. A store's test file subclasses this and gives a `Rig`."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import pytest

from ferryhub.blobs.store import BlobStore, Gap, StagedFile, SupportsPartWrites, SupportsReads, file_of, session_of
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count, part_span

PART = 2 * MIB
#: Sizes as (whole parts, bytes beside them).
SIZES = [(0, 1), (0, MIB - 1), (0, MIB), (0, MIB + 1), (1, -1), (1, 0), (1, 1), (2, 0), (2, 1)]


class HubStore(BlobStore, SupportsReads, Protocol):
    """A store, and a way to look into it."""


class Rig(ABC):
    """How to get at one store. Every call of `store` gives a new object on the same kept bytes, as after a restart."""

    #: The size of the suite's parts.
    part = PART
    #: Whether a part may be sent again with other bytes.
    replaces_parts = True

    @abstractmethod
    def store(self) -> HubStore: ...

    @abstractmethod
    def put(self, file: StagedFile, data: bytes, number: int) -> None:
        """Bring one part to the store, durably, as callers do."""

    def known(self, file: StagedFile) -> StagedFile:
        """The file with what the catalogue knows of it."""
        return file

    def file(self, session_id: str, index: int, size: int) -> StagedFile:
        return StagedFile(session_id, index, size, self.part)

    def new(self, size: int) -> StagedFile:
        """The only file of a new session."""
        return self.file(new_id("upl"), 0, size)

    def put_all(self, file: StagedFile, data: bytes) -> None:
        for number in range(1, part_count(file.size_bytes, self.part) + 1):
            self.put(file, data, number)

    def next_moment(self) -> None:  # noqa: B027 - most stores need nothing
        """Wait until the store's clock has moved, where it needs that to tell which part is newer."""

    def publish(self, *files: StagedFile) -> list[Gap]:
        return self.store().publish([self.known(file) for file in files])

    def key(self, file: StagedFile) -> str:
        return self.store().key_of(self.known(file))

    def read(self, file: StagedFile) -> bytes | None:
        return read(self.store(), self.key(file))


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that tell any mix-up of parts, blocks or versions."""
    return random.Random(f"{seed}:{size}").randbytes(size)


def put(store: SupportsPartWrites, file: StagedFile, data: bytes, number: int) -> None:
    """Write and sync one part at the hub, in windows that are not whole blocks."""
    offset, length = part_span(file.size_bytes, PART, number)
    writer = store.open_part(file, offset)
    view = memoryview(data)[offset : offset + length]
    for at in range(0, length, 700_001):
        writer.write(view[at : at + 700_001])
    writer.sync()
    writer.close()


def put_all(store: SupportsPartWrites, file: StagedFile, data: bytes) -> None:
    for number in range(1, part_count(file.size_bytes, PART) + 1):
        put(store, file, data, number)


def read(store: SupportsReads, key: str) -> bytes | None:
    reader = store.open_blob(key)
    if reader is None:
        return None
    try:
        return b"".join(reader.read(at, MIB) for at in range(0, reader.size_bytes, MIB))
    finally:
        reader.close()


class BlobStoreSuite:
    """The contract. Tests use nothing but the protocols and what a rig does for a caller."""

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        raise NotImplementedError

    @pytest.mark.parametrize(("whole", "beside"), SIZES)
    def test_what_is_put_in_parts_comes_back_as_one_blob(self, rig: Rig, whole: int, beside: int) -> None:
        file = rig.new(whole * rig.part + beside)
        data = content(file.size_bytes)
        numbers = list(range(1, part_count(file.size_bytes, rig.part) + 1))
        random.Random(file.size_bytes).shuffle(numbers)
        for number in numbers:
            rig.put(file, data, number)
        assert rig.publish(file) == []
        assert rig.read(file) == data

    def test_a_part_may_be_put_again(self, rig: Rig) -> None:
        file = rig.new(2 * rig.part)
        data = content(file.size_bytes)
        if rig.replaces_parts:
            rig.put_all(file, content(file.size_bytes, seed=2))
            rig.next_moment()
        rig.put_all(file, data)
        rig.put(file, data, 1)
        assert rig.publish(file) == []
        assert rig.read(file) == data

    def test_a_file_of_one_part_may_be_put_again(self, rig: Rig) -> None:
        file = rig.new(MIB)
        rig.put_all(file, content(MIB, seed=2))
        rig.put_all(file, content(MIB))
        assert rig.publish(file) == []
        assert rig.read(file) == content(MIB)

    def test_ranges_are_exact(self, rig: Rig) -> None:
        file = rig.new(rig.part + 5)
        data = content(file.size_bytes)
        rig.put_all(file, data)
        rig.publish(file)
        reader = rig.store().open_blob(rig.key(file))
        assert reader is not None
        assert reader.size_bytes == file.size_bytes
        for first, count in [(0, 1), (MIB - 1, 2), (rig.part, 5), (rig.part + 4, 100)]:
            assert reader.read(first, count) == data[first : first + count]
        reader.close()

    def test_staged_bytes_are_not_readable_before_they_are_published(self, rig: Rig) -> None:
        file = rig.new(2 * rig.part)
        assert not rig.store().holds(rig.known(file))
        rig.put_all(file, content(file.size_bytes))
        assert rig.store().holds(rig.known(file))
        assert rig.store().open_blob(file.key) is None

    def test_publishing_again_after_a_restart_changes_nothing(self, rig: Rig) -> None:
        file = rig.new(2 * rig.part)
        rig.put_all(file, content(file.size_bytes))
        for _ in range(3):
            assert rig.publish(file) == []
            assert rig.store().holds(rig.known(file))
        assert rig.read(file) == content(file.size_bytes)

    def test_publishing_goes_on_where_it_was_cut_short(self, rig: Rig) -> None:
        session = new_id("upl")
        files = [rig.file(session, index, rig.part + index) for index in range(3)]
        for file in files:
            rig.put_all(file, content(file.size_bytes))
        rig.publish(*files[:2])
        assert rig.publish(*files) == []
        assert [rig.read(file) for file in files] == [content(file.size_bytes) for file in files]

    def test_nothing_is_published_when_a_file_is_missing(self, rig: Rig) -> None:
        session = new_id("upl")
        there, missing = rig.file(session, 0, 2 * rig.part), rig.file(session, 1, MIB)
        rig.put_all(there, content(there.size_bytes))
        assert rig.publish(there, missing) == [Gap(missing)]
        assert rig.store().open_blob(there.key) is None

    def test_discard_removes_what_is_staged_and_keeps_what_is_published(self, rig: Rig) -> None:
        session = new_id("upl")
        kept, dropped = rig.file(session, 0, 2 * rig.part), rig.file(session, 1, 2 * rig.part)
        for file in (kept, dropped):
            rig.put_all(file, content(file.size_bytes))
        rig.publish(kept)
        assert session in {stored.name for stored in rig.store().sessions()}
        for _ in range(2):
            rig.store().discard(session)
        assert rig.read(kept) == content(kept.size_bytes)
        assert not rig.store().holds(rig.known(dropped))
        assert list(rig.store().sessions()) == []

    def test_delete_is_repeatable_and_touches_one_blob(self, rig: Rig) -> None:
        session = new_id("upl")
        files = [rig.file(session, index, MIB) for index in range(2)]
        for file in files:
            rig.put_all(file, content(MIB, seed=file.file_index))
        rig.publish(*files)
        for _ in range(2):
            rig.store().delete(rig.key(files[0]))
        assert rig.read(files[0]) is None
        assert rig.read(files[1]) == content(MIB, seed=1)

    def test_the_blobs_of_a_session_are_found(self, rig: Rig) -> None:
        session = new_id("upl")
        files = [rig.file(session, index, MIB) for index in (0, 1, 10)]
        for file in [*files, other := rig.new(MIB)]:
            rig.put_all(file, content(MIB))
        rig.publish(*files)
        rig.publish(other)
        assert sorted(rig.store().blobs_of(session)) == sorted(map(rig.key, files))
        assert rig.store().blobs_of(new_id("upl")) == []

    def test_listings_name_sessions_and_blobs_with_the_time_of_their_last_use(self, rig: Rig) -> None:
        files = [rig.new(2 * rig.part) for _ in range(2)]
        for file in files:
            rig.put_all(file, content(file.size_bytes))
        assert {stored.name for stored in rig.store().sessions()} == {file.session_id for file in files}
        rig.publish(files[0])
        (published,) = rig.store().blobs()
        assert published.name == rig.key(files[0])
        (staged,) = (stored for stored in rig.store().sessions() if stored.name == files[1].session_id)
        assert abs(staged.touched_at - published.touched_at) < 60

    def test_a_key_says_which_session_and_file(self, rig: Rig) -> None:
        for size in (MIB, 2 * rig.part):
            file = rig.file(new_id("upl"), 17, size)
            rig.put_all(file, content(size))
            assert rig.publish(file) == []
            ((key,),) = [rig.store().blobs_of(file.session_id)]
            assert (key, session_of(key), file_of(key)) == (rig.key(file), file.session_id, file.key)

    def test_sessions_do_not_meet(self, rig: Rig) -> None:
        files = [rig.new(rig.part) for _ in range(2)]
        for file in files:
            rig.put(file, content(rig.part, seed=files.index(file)), 1)
            assert rig.publish(file) == []
        assert [rig.read(file) for file in files] == [content(rig.part, seed=seed) for seed in (0, 1)]

    @pytest.mark.parametrize("key", ["../../etc/passwd", "", "x", "01JD0000000000000000000000-0/../x", "-0", "a-1"])
    def test_only_keys_the_hub_made_are_names(self, rig: Rig, key: str) -> None:
        with pytest.raises(ValueError, match="blob key"):
            rig.store().delete(key)

    @pytest.mark.parametrize("session", ["..", "upl_", "", "upl_../../x", "/"])
    def test_only_sessions_the_hub_made_are_names(self, rig: Rig, session: str) -> None:
        with pytest.raises(ValueError, match="session id"):
            rig.store().discard(session)
