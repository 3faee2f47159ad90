"""An upload from claim to commit. Upload steps 7 (session), 8 (parts), 9 (rows) and 10 (commit).

What the hub lists as stored is the truth; local rows save hashing. Every part is checked against the source's identity
by the lane, and all files once more before the commit. No decision about retries of the whole here: see runner.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import Part, Phase, SourceFile, TransferFile, UploadSpec
from ferryd.core.ports import Content, Session, UploadFile
from ferryd.engine.batches import Key, packed, work_off
from ferryd.engine.delivery import Delivery
from ferryd.engine.hashes import Hashes
from ferryd.engine.run import Run, Tools, span_of
from ferrywire import digest, tracing
from ferrywire.parts import part_count
from ferrywire.reasons import FerryError

_ROUNDS: Final = 3  #: how often the hub may miss parts at the commit before the attempt fails


class Upload:
    """The upload of one run."""

    def __init__(self, run: Run, tools: Tools) -> None:
        self._run = run
        self._tools = tools
        self._files: list[TransferFile] = []
        self._sources: list[SourceFile] = []
        self._hashes = Hashes(run, tools)
        self._stored: set[Key] = set()  #: what the receiver has
        self._stored_parts: Counter[int] = Counter()  #: the same, counted by file
        self._begun: set[Key] = set()  #: what was sent before, confirmed or not, as far as rows tell
        self._opened = False  #: the session was opened by this run, and nothing has been sent to it

    async def perform(self) -> dict[str, Any]:
        """Move what is missing and commit; returns the fields of success. Any `FerryError`."""
        with tracing.span("prepare"):
            await self._load()
            content = await self._open_session() or await self._commit_if_whole()
        for number in range(_ROUNDS):
            if content is not None:
                break
            with tracing.span("compare"):
                await self._learn(first=number == 0)
            with tracing.span("send"):
                await self._send()
            with tracing.span("commit"):
                content = await self._commit()
        if content is None:
            raise FerryError("PARTS_MISSING", "the hub misses parts again and again", missingCount=0)
        self._verify(content)
        return {
            "asset_id": content.asset_id,
            "content_id": content.content_id,
            "digest": content.digest,
        }

    async def _load(self) -> None:
        store = self._tools.ledger.store
        self._files = await store.files(self._run.id)
        self._sources = [_source(file) for file in self._files]
        await self._check_sources()
        if not (self._run.transfer.session_id or self._run.transfer.session_number):
            return  # a part has a row at the earliest when there is a session
        for row in await store.parts(self._run.id):
            key = (row.part.file_index, row.part.number)
            self._hashes.load(row)
            self._begun.add(key)
            if row.persisted:
                self._stored.add(key)

    async def _open_session(self) -> Content | None:
        transfer, spec = self._run.transfer, self._run.transfer.spec
        if transfer.session_id:
            return None
        assert isinstance(spec, UploadSpec)
        manifest = [UploadFile(file.path, file.size_bytes, file.part_bytes) for file in self._files]
        request_id = f"{transfer.id}-{transfer.session_number}"
        session = await self._run.hub.create_upload(spec, manifest, request_id)
        self._run.answered.set()
        self._opened = True
        await self._adopt(session)
        crashpoint("after-session")
        return session.content

    async def _adopt(self, session: Session) -> None:
        """Remember the session, and cut the files as its store wants them: the hub has done so already."""
        fields = {
            "session_id": session.session_id,
            "asset_id": session.asset_id,
            "part_checksum": session.part_checksum,
            "pack_bytes": session.pack_bytes,
        }
        least = session.least_part_bytes
        if all(file.part_bytes >= least for file in self._files):
            await self._run.update(**fields)
            return
        self._files = [
            replace(file, part_bytes=max(file.part_bytes, least), persisted_bytes=0, done=False) for file in self._files
        ]
        self._hashes.clear()
        self._stored.clear()
        self._begun.clear()
        await self._run.replan(self._files, **fields)

    async def _commit_if_whole(self) -> Content | None:
        """After a lost reply to the commit everything is there: ask again at once."""
        return await self._commit() if self._keys() and self._stored >= set(self._keys()) else None

    async def _learn(self, *, first: bool) -> None:
        """Ask the hub what it has, unless it cannot have anything. The first answer of a run shows how many files are
        there already."""
        self._stored.clear()
        adopted = [] if first and self._opened else await self._adopt_parts()
        self._begun |= self._stored
        self._run.tally.restart()
        self._run.tally.confirm(len(self._stored), sum(self._length(key) for key in self._stored))
        self._stored_parts = Counter(index for index, _ in self._stored)
        for at, file in enumerate(self._files):
            if file.persisted_bytes or file.done:
                self._files[at] = replace(file, persisted_bytes=0, done=False)
        begun = self._advance(self._stored)
        shown = {"present_file_count": sum(file.done for file in begun)} if first else {}
        files = begun + self._end_empty()
        row = self._run.transfer
        if adopted or files or not self._opened or row.persisted_bytes or row.present_file_count:
            await self._run.record(parts=adopted, persisted=True, files=files, **shown)

    async def _adopt_parts(self) -> list[Part]:
        """What the hub has; the block digests it knows and we have not are kept."""
        adopted: list[Part] = []
        async for part in self._run.hub.list_parts(self._run.transfer.session_id):
            self._run.check()
            key = (part.file_index, part.number)
            if not (self._is_ours(part) and self._hashes.agrees(part)):
                continue
            self._stored.add(key)
            adopted.append(part)
        self._run.answered.set()
        return adopted

    def _end_empty(self) -> list[TransferFile]:
        """Empty files have no part to wait for."""
        empty = [
            replace(file, done=True, digest=self._hashes.of_file(file)) for file in self._files if not file.size_bytes
        ]
        for file in empty:
            self._files[file.index] = file
        return empty

    async def _send(self) -> None:
        missing = [key for key in self._keys() if key not in self._stored]
        delivery = Delivery(self._run, self._tools, self._begun)

        async def do(batch: list[Key]) -> None:
            pack, alone = packed(batch, self._files, self._run.transfer.pack_bytes)
            if pack and (parts := await self._deliver_pack(delivery, pack)):
                await self._confirm(parts)
            elif pack:
                alone = batch
            if alone:
                parts = await self._hashes.hash(alone, self._sources, self._files)
                async for confirmed in delivery.deliver(parts, self._sources, self._files):
                    await self._confirm(confirmed)

        await work_off(self._run, self._tools.slots, missing, self._files, do, self._run.transfer.pack_bytes)

    async def _deliver_pack(self, delivery: Delivery, pack: Sequence[Key]) -> list[Part]:
        """Empty when the hub takes no packs, though it said so: it is not asked again."""
        try:
            return await delivery.deliver_pack(
                partial(self._hashes.hash_pack, pack, self._sources, self._files), self._sources, self._files
            )
        except FerryError as error:
            if error.reason not in ("INVALID_ARGUMENT", "UNIMPLEMENTED"):
                raise
            await self._run.update(pack_bytes=0)
            return []

    async def _confirm(self, parts: Sequence[Part]) -> None:
        """The receiver has these durably: only now a row says so, and only after the row the watchers hear of it."""
        crashpoint("after-part-sent")
        keys = [(part.file_index, part.number) for part in parts]
        self._stored.update(keys)
        self._stored_parts.update(index for index, _ in keys)
        self._run.progressed = True
        self._run.tally.confirm(len(keys), sum(self._length(key) for key in keys))
        files = self._advance(keys)
        last = self._files[keys[-1][0]]
        await self._run.record(parts=parts, persisted=True, files=files, file_index=last.index, file_name=last.path)
        self._run.show(self._run.phase, last)
        crashpoint("after-part-row")

    def _advance(self, keys: Iterable[Key]) -> list[TransferFile]:
        """File rows after these parts were persisted; a file that is whole gets its digest."""
        added: Counter[int] = Counter()
        for index, number in keys:
            added[index] += span_of(self._files[index], number).length
        for index, size_bytes in added.items():
            file = self._files[index]
            whole = self._stored_parts[index] == part_count(file.size_bytes, file.part_bytes)
            self._files[index] = replace(
                file,
                persisted_bytes=file.persisted_bytes + size_bytes,
                done=file.done or whole,
                digest=self._hashes.of_file(file) if whole else file.digest,
            )
        return [self._files[index] for index in added]

    async def _commit(self) -> Content | None:
        """The content, or None when the hub misses parts."""
        self._run.show(Phase.COMMITTING)
        await self._check_sources()
        digests = [self._digest(file) for file in self._files]
        self._run.check()
        crashpoint("before-commit")
        try:
            content = await self._run.hub.commit_upload(self._run.transfer.session_id, digests)
        except FerryError as error:
            if error.reason != "PARTS_MISSING":
                raise
            return None
        crashpoint("after-commit")
        self._run.answered.set()
        return content

    def _verify(self, content: Content) -> None:
        files = [(file.path, file.size_bytes, self._digest(file)) for file in self._files]
        expected = digest.to_text(digest.of_manifest(files))
        if content.digest != expected:
            message = f"the hub committed {content.digest} where {expected} was sent: upload again"
            path = self._run.transfer.local_path
            raise FerryError("DIGEST_MISMATCH", message, path=path, expected=expected, actual=content.digest)

    async def _check_sources(self) -> None:
        def check_all() -> None:
            for source in self._sources:
                self._tools.files.check(source)
                self._run.meter.check()

        await asyncio.to_thread(check_all)

    def _keys(self) -> list[Key]:
        return [
            (file.index, number)
            for file in self._files
            for number in range(1, part_count(file.size_bytes, file.part_bytes) + 1)
        ]

    def _digest(self, file: TransferFile) -> bytes:
        return file.digest if file.done else self._hashes.of_file(file)

    def _length(self, key: Key) -> int:
        return span_of(self._files[key[0]], key[1]).length

    def _is_ours(self, part: Part) -> bool:
        """Whether the plan has such a part and the digests fit its length."""
        if not 0 <= part.file_index < len(self._files):
            return False
        file = self._files[part.file_index]
        if not 1 <= part.number <= part_count(file.size_bytes, file.part_bytes):
            return False
        blocks = part_count(span_of(file, part.number).length, digest.BLOCK_BYTES)
        return len(part.block_digests) == blocks * digest.DIGEST_BYTES


def _source(file: TransferFile) -> SourceFile:
    assert file.identity is not None
    return SourceFile(file.path, file.local_path, file.identity)
