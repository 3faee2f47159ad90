"""An engine on a real store and real files, with a hub and lanes in memory that can be told to go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ferryd.core.model import (
    CRC64NVME,
    Context,
    Hashed,
    HashedPack,
    Limits,
    Part,
    SourceFile,
    Span,
    Transfer,
    UploadSpec,
)
from ferryd.core.ports import (
    Content,
    FileLocation,
    Incoming,
    Location,
    Manifest,
    Meter,
    Outgoing,
    RemoteFile,
    Session,
    ShortFile,
    UploadFile,
    UrlLocation,
)
from ferryd.core.states import State
from ferryd.engine.engine import Engine
from ferryd.lanes.files import LocalFiles
from ferryd.store.store import SqliteStore
from ferrywire import digest
from ferrywire.digest import BlockHasher
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count, part_span
from ferrywire.reasons import FerryError


class QuickClock:
    """Time runs a thousand times faster."""

    def __init__(self, speed: float = 1000.0) -> None:
        self._speed = speed
        self._started = time.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._started) * self._speed

    def now(self) -> float:
        return 1_700_000_000 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


Fault = Callable[[], None] | FerryError


class Faults:
    """What shall go wrong, by the name of the call: before it does anything, or after (a lost reply)."""

    def __init__(self) -> None:
        self._before: dict[str, list[Fault]] = defaultdict(list)
        self._after: dict[str, list[Fault]] = defaultdict(list)
        self.always: dict[str, FerryError] = {}
        self.calls: Counter[str] = Counter()

    def add(self, call: str, fault: Fault, *, times: int = 1, after: bool = False) -> None:
        (self._after if after else self._before)[call] += [fault] * times

    @contextlib.contextmanager
    def around(self, call: str) -> object:  # type: ignore[misc]
        self.calls[call] += 1
        if call in self.always:
            raise self.always[call]
        _meet(self._before[call])
        yield
        _meet(self._after[call])


def _meet(faults: list[Fault]) -> None:
    if faults:
        fault = faults.pop(0)
        if isinstance(fault, FerryError):
            raise fault
        fault()


@dataclass
class HubSession:
    session_id: str
    asset_id: str
    title: str
    files: list[UploadFile]
    parts: dict[tuple[int, int], tuple[bytes, bytes]] = field(default_factory=dict)
    #: What the store of a direct hub has and the hub was not told of.
    arrived: dict[tuple[int, int], tuple[bytes, bytes]] = field(default_factory=dict)
    content: Content | None = None


class MemoryHub:
    """The hub's content calls on dictionaries; checks digests as the real one does."""

    def __init__(self, *, file_lane: bool = False) -> None:
        self.faults = Faults()
        #: Parts go to a store that the hub does not see into, need a CRC and have at least this size; 0: they do not.
        self.direct_part_bytes = 0
        #: What small files may have together that are sent as one; 0: each goes by itself.
        self.pack_bytes = 0
        self.sessions: dict[str, HubSession] = {}
        self.requests: dict[str, str] = {}
        self.contents: dict[str, tuple[Content, str, list[tuple[UploadFile, bytes, bytes]]]] = {}
        self.file_lane = file_lane
        self.aborted: list[str] = []
        self.generation = 0

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        with self.faults.around("create_upload"):
            if request_id not in self.requests:
                planned = [replace(file, part_bytes=max(file.part_bytes, self.direct_part_bytes)) for file in files]
                session = HubSession(new_id("upl"), spec.asset_id or new_id("ast"), spec.title, planned)
                self.requests[request_id] = session.session_id
                self.sessions[session.session_id] = session
            session = self._session(self.requests[request_id])
        checksum = CRC64NVME if self.direct_part_bytes else ""
        least_bytes = self.direct_part_bytes
        return Session(session.session_id, session.asset_id, session.content, checksum, least_bytes, self.pack_bytes)

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        with self.faults.around("sign_parts"):
            self._session(session_id)
            if self.file_lane:
                return [FileLocation(f"/{session_id}/{part.file_index}/{part.number}", 0) for part in parts]
            assert all(bool(part.crc64nvme) == bool(self.direct_part_bytes) for part in parts)
            return [
                UrlLocation(
                    f"mem:/{session_id}/{part.file_index}/{part.number}",
                    {"crc": part.crc64nvme.hex()},
                    0.0,
                    report=bool(self.direct_part_bytes),
                )
                for part in parts
            ]

    async def sign_pack(self, session_id: str, parts: Sequence[Part], crc64nvme: bytes) -> Location:
        with self.faults.around("sign_pack"):
            self._session(session_id)
            assert bool(crc64nvme) == bool(self.direct_part_bytes)
            indexes = ".".join(str(part.file_index) for part in parts)
            return UrlLocation(f"mem:/{session_id}/{indexes}/pack", {"crc": crc64nvme.hex()}, 0.0, report=True)

    async def record_parts(self, session_id: str, parts: Sequence[Part], pack_crc64nvme: bytes | None = None) -> None:
        with self.faults.around("record_parts"):
            session = self._session(session_id)
            if pack_crc64nvme is not None:
                came = session.arrived if self.direct_part_bytes else session.parts
                data = b"".join(came[part.file_index, 1][0] for part in parts)
                assert pack_crc64nvme == (crc_of(data) if self.direct_part_bytes else b"")
                if any(came[part.file_index, 1][1] != part.block_digests for part in parts):
                    raise FerryError("CHUNK_CORRUPT", "other bytes came", partNumber="")
            for part in parts:
                key = (part.file_index, part.number)
                if key in session.arrived:
                    session.parts[key] = session.arrived.pop(key)

    async def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        with self.faults.around("list_parts"):
            session = self._session(session_id)
        for (index, number), (_, blocks) in sorted(session.parts.items()):
            yield Part(index, number, blocks)

    async def commit_upload(self, session_id: str, file_digests: Sequence[bytes]) -> Content:
        with self.faults.around("commit_upload"):
            session = self._session(session_id)
            session.content = session.content or self._commit(session, file_digests)
        return session.content

    async def abort_upload(self, session_id: str) -> None:
        with self.faults.around("abort_upload"):
            self._session(session_id)
            del self.sessions[session_id]
            self.aborted.append(session_id)

    async def get_manifest(self, asset_id: str, content_id: str) -> tuple[Manifest, list[RemoteFile]]:
        with self.faults.around("get_manifest"):
            newest = [one for one, (content, *_) in self.contents.items() if content.asset_id == asset_id]
            chosen = content_id or (newest[-1] if newest else "")
            if chosen not in self.contents:
                raise FerryError("ASSET_NOT_FOUND", "no such asset", assetId=asset_id)
            self.generation += 1
            content, title, files = self.contents[chosen]
        return Manifest(content, title), [
            self._remote(chosen, index, file, data, file_digest)
            for index, (file, data, file_digest) in enumerate(files)
        ]

    def receive(self, url: str, data: bytes, blocks: bytes) -> None:
        """A part arrives."""
        _, session_id, index, number = url.split("/")
        session = self._session(session_id)
        if block_digests(data) != blocks:
            raise FerryError("CHUNK_CORRUPT", "damaged on the way", partNumber=number)
        kept = session.arrived if self.direct_part_bytes else session.parts
        kept[int(index), int(number)] = (data, blocks)

    def serve(self, url: str, span: Span) -> bytes:
        """Bytes are fetched."""
        _, content_id, index, _ = url.split("/")
        return self.contents[content_id][2][int(index)][1][span.offset : span.offset + span.length]

    def add_content(self, files: dict[str, bytes], *, asset_id: str = "", part_bytes: int = MIB) -> Content:
        """A committed content, ready for download."""
        entries = [
            (UploadFile(path, len(data), part_bytes), data, digest.of_bytes(data)) for path, data in files.items()
        ]
        return self._publish(asset_id or new_id("ast"), "title", entries)

    def bytes_of(self, content_id: str) -> dict[str, bytes]:
        return {file.path: data for file, data, _ in self.contents[content_id][2]}

    def _session(self, session_id: str) -> HubSession:
        if session_id not in self.sessions:
            raise FerryError("SESSION_NOT_FOUND", "swept", sessionId=session_id)
        return self.sessions[session_id]

    def _commit(self, session: HubSession, file_digests: Sequence[bytes]) -> Content:
        entries = []
        for index, (file, file_digest) in enumerate(zip(session.files, file_digests, strict=True)):
            numbers = range(1, part_count(file.size_bytes, file.part_bytes) + 1)
            missing = [number for number in numbers if (index, number) not in session.parts]
            if missing:
                raise FerryError("PARTS_MISSING", "parts are missing", missingCount=len(missing))
            data = b"".join(session.parts[index, number][0] for number in numbers)
            if digest.of_bytes(data) != file_digest:
                raise FerryError("DIGEST_MISMATCH", "wrong", path=file.path, expected="", actual="")
            entries.append((file, data, file_digest))
        return self._publish(session.asset_id, session.title, entries)

    def _publish(self, asset_id: str, title: str, entries: list[tuple[UploadFile, bytes, bytes]]) -> Content:
        whole = digest.of_manifest((file.path, file.size_bytes, one) for file, _, one in entries)
        size = sum(file.size_bytes for file, *_ in entries)
        content = Content(new_id("cnt"), asset_id, digest.to_text(whole), size, len(entries))
        self.contents[content.content_id] = (content, title, entries)
        return content

    def _remote(self, content_id: str, index: int, file: UploadFile, data: bytes, file_digest: bytes) -> RemoteFile:
        spans = [
            part_span(len(data), file.part_bytes, number)
            for number in range(1, part_count(len(data), file.part_bytes) + 1)
        ]
        parts = b"".join(digest.of_blocks(block_digests(data[at : at + length])) for at, length in spans)
        location = UrlLocation(f"mem:/{content_id}/{index}/{self.generation}", {}, 0.0) if data else None
        return RemoteFile(index, file.path, len(data), file.part_bytes, file_digest, parts, location)


class MemoryLanes:
    """Moves parts between real files and the hub in memory."""

    def __init__(self, hub: MemoryHub) -> None:
        self.hub = hub
        self.faults = Faults()
        self.hashed: list[tuple[str, int]] = []
        self.sent: list[tuple[str, int]] = []
        self.received: list[int] = []
        self.looked_at: list[int] = []  #: parts of earlier runs
        self.gate: asyncio.Event | None = None  #: when set, parts wait here until it is set or they are interrupted
        self.at_gate = asyncio.Event()
        self.in_flight = self.most_in_flight = 0
        self.visits: Counter[str] = Counter()  #: of a thread, where there are any

    async def hash(self, source: SourceFile, span: Span, meter: Meter, *, crc64nvme: bool = False) -> Hashed:
        meter.check()
        with self.faults.around("hash"):
            self.hashed.append((source.path, span.offset))
            data = _read(source.local_path, span)
            return Hashed(block_digests(data), crc_of(data) if crc64nvme else b"")

    async def hash_all(
        self, parts: Sequence[tuple[SourceFile, Span]], meter: Meter, *, crc64nvme: bool = False
    ) -> list[Hashed]:
        self.visits["hash"] += 1
        return [await self.hash(source, span, meter, crc64nvme=crc64nvme) for source, span in parts]

    async def hash_pack(self, sources: Sequence[SourceFile], meter: Meter, *, crc64nvme: bool = False) -> HashedPack:
        spans = [(source, Span(0, source.identity.size_bytes)) for source in sources]
        found = await self.hash_all(spans, meter)
        data = b"".join(_read(source.local_path, span) for source, span in spans)
        return HashedPack(tuple(one.block_digests for one in found), crc_of(data) if crc64nvme else b"")

    async def send_all(self, parts: Sequence[Outgoing], meter: Meter, done: Callable[[], None]) -> None:
        self.visits["send"] += 1
        for part in parts:
            await self.send(part.source, part.span, part.to, part.block_digests, meter)
            done()

    async def send_pack(
        self, pieces: Sequence[SourceFile], to: Location, meter: Meter, data: bytes | bytearray = b""
    ) -> None:
        self.visits["pack"] += 1
        assert isinstance(to, UrlLocation)
        async with self._flight(meter):
            with self.faults.around("send_pack"):
                _, session_id, indexes, _ = to.url.split("/")
                came = [_read(piece.local_path, Span(0, piece.identity.size_bytes)) for piece in pieces]
                meter.moved(sum(map(len, came)))
                assert to.headers["crc"] == (crc_of(b"".join(came)).hex() if self.hub.direct_part_bytes else "")
                for index, piece, one in zip(indexes.split("."), pieces, came, strict=True):
                    self.sent.append((piece.path, 0))
                    self.hub.receive(f"mem:/{session_id}/{index}/1", one, block_digests(one))

    async def receive(self, part: Incoming, meter: Meter) -> bytes:
        self.visits["receive"] += 1
        data = await self._arrive(part.origin, part.span, meter)
        fd = os.open(part.dest, os.O_WRONLY)
        try:
            os.pwrite(fd, data, part.span.offset)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        blocks = block_digests(data)
        if digest.of_blocks(blocks) != part.digest:
            raise FerryError("CHUNK_CORRUPT", "arrived damaged", partNumber="")
        return blocks

    async def receive_short(
        self, files: Sequence[ShortFile], meter: Meter, keep: Callable[[Sequence[memoryview]], None]
    ) -> None:
        self.visits["receive short"] += 1
        came: list[memoryview] = []
        try:
            for file in files:
                data = await self._arrive(file.origin, Span(0, file.size_bytes), meter)
                if digest.of_bytes(data) != file.digest:
                    raise FerryError("CHUNK_CORRUPT", "arrived damaged", partNumber="")
                came.append(memoryview(data))
        finally:
            if came:
                keep(came)

    async def send(self, source: SourceFile, span: Span, to: Location, blocks: bytes, meter: Meter) -> None:
        async with self._flight(meter):
            with self.faults.around("send"):
                data = _read(source.local_path, span)
                meter.moved(len(data))
                self.sent.append((source.path, span.offset))
                self.hub.receive(to.url if isinstance(to, UrlLocation) else to.path, data, blocks)

    async def _arrive(self, origin: Location, span: Span, meter: Meter) -> bytes:
        assert isinstance(origin, UrlLocation)
        async with self._flight(meter):
            with self.faults.around("receive"):
                data = self.hub.serve(origin.url, span)
                meter.moved(len(data))
                self.received.append(span.offset)
            if "damage" in self.faults.always or self.faults.calls["receive"] in self.damaged:
                data = bytes([data[0] ^ 1]) + data[1:]
            return data

    async def hash_received(self, dest: Path, span: Span, meter: Meter) -> bytes:
        meter.check()
        self.looked_at.append(span.offset)
        return block_digests(_read(str(dest), span))

    damaged: frozenset[int] = frozenset()

    @contextlib.asynccontextmanager
    async def _flight(self, meter: Meter) -> AsyncIterator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            while self.gate is not None and not self.gate.is_set():
                self.at_gate.set()
                meter.check()
                await asyncio.sleep(0.001)
            meter.check()
            yield
        finally:
            self.in_flight -= 1


def block_digests(data: bytes) -> bytes:
    hasher = BlockHasher()
    hasher.update(memoryview(data))
    return hasher.block_digests()


def crc_of(data: bytes) -> bytes:
    """Stands for the CRC of some bytes: it only has to be the same for the same."""
    return zlib.crc32(data).to_bytes(8, "big")


def _read(path: str, span: Span) -> bytes:
    with open(path, "rb") as file:
        return os.pread(file.fileno(), span.length, span.offset)


class OneHub:
    """The port `Hubs` where every transfer belongs to one hub. `signed_in` counts what a test calls a sign-in."""

    def __init__(self, hub: MemoryHub) -> None:
        self.hub = hub
        self.signed_in = 0

    def get(self, context: Context) -> MemoryHub:
        return self.hub

    def sign_ins(self, context: Context) -> int:
        return self.signed_in


class Bench:
    """An engine with its surroundings; `restart` is a crash and a new daemon on the same store."""

    def __init__(self, directory: Path, *, file_lane: bool = False, limits: Limits | None = None) -> None:
        self.directory = directory
        self.clock = QuickClock()
        self.hub = MemoryHub(file_lane=file_lane)
        self.hubs = OneHub(self.hub)
        self.lanes = MemoryLanes(self.hub)
        self.files = LocalFiles(0o022)
        self.limits = limits or Limits()
        self.store: SqliteStore
        self.engine: Engine
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.store = await SqliteStore.open(self.directory / "state" / "queue.db", self.clock.now)
        self.engine = Engine(
            store=self.store,
            hubs=self.hubs,
            lanes=self.lanes,
            files=self.files,
            clock=self.clock,
            limits=self.limits,
        )

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self.engine.run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self.store.close()

    async def restart(self) -> None:
        await self.close()
        await self.open()
        self.start()

    async def until(self, transfer_id: str, reached: Callable[[Transfer], bool], timeout_s: float = 20.0) -> Transfer:
        """The first value that watchers see for which `reached` is true."""
        async with asyncio.timeout(timeout_s):
            events = self.engine.subscribe([transfer_id], 0.02)
            async with contextlib.aclosing(events):  # type: ignore[type-var]
                async for transfer, _ in events:
                    if reached(transfer):
                        return transfer
        last = await self.engine.get(transfer_id)
        raise AssertionError(f"settled without it: {last}")

    async def settled(self, transfer_id: str) -> Transfer:
        return await self.until(transfer_id, lambda one: one.state in (State.SUCCEEDED, State.FAILED, State.CANCELLED))


@contextlib.asynccontextmanager
async def bench(directory: Path, *, file_lane: bool = False, limits: Limits | None = None) -> AsyncIterator[Bench]:
    one = Bench(directory, file_lane=file_lane, limits=limits)
    await one.open()
    one.start()
    try:
        yield one
    finally:
        await one.close()


def upload_spec(*paths: Path, **fields: object) -> UploadSpec:
    values = {"title": "t", "owner_type": "user", "owner_id": "me", "part_bytes": MIB} | fields
    return UploadSpec(paths=tuple(str(path) for path in paths), **values)  # type: ignore[arg-type]


async def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def cleaned(b: Bench, timeout_s: float = 10.0) -> None:
    """Wait until no transfer has leftovers."""
    async with asyncio.timeout(timeout_s):
        while await b.store.debris():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)
