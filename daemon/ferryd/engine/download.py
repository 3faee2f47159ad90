"""A download from manifest to published files. Download steps D7 to D10.

The version is pinned at the first manifest. A short file comes whole, from memory to its final name, and is noted when
it has that. Of others a part row is written, only after the lane has fdatasynced the part and its digest agreed; a
later run hashes that part once more, because anybody may have touched the part file meanwhile. Nothing half-written has
a final name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import SHORT_BYTES, DownloadSpec, Part, Phase, TransferFile
from ferryd.core.ports import Keep, Manifest, RemoteFile
from ferryd.engine.batches import Key, work_off
from ferryd.engine.destination import Destination
from ferryd.engine.fetching import Fetching
from ferryd.engine.run import Run, Tools, span_of
from ferryd.engine.waiting import finish_in_thread
from ferrywire import digest, tracing
from ferrywire.parts import part_count
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)


class Download:
    """The download of one run."""

    def __init__(self, run: Run, tools: Tools) -> None:
        spec = run.transfer.spec
        assert isinstance(spec, DownloadSpec)
        self._run = run
        self._tools = tools
        self._spec = spec
        self._dest = Destination(tools.files, spec, run.id, run.meter)
        self._files: list[TransferFile] = []
        self._remote: list[RemoteFile] = []
        self._blocks: dict[Key, bytes] = {}  #: of the parts that are durably here
        self._claimed: dict[Key, bytes] = {}  #: of the parts that an earlier run left here
        self._here: Counter[int] = Counter()  #: their number, by file
        self._prepared: dict[int, asyncio.Event] = {}  #: by file that has, or is about to get, its part file

    async def perform(self) -> dict[str, Any]:
        """Fetch what is missing and publish; returns the fields of success. Any `FerryError`."""
        resumed = self._run.transfer.looked
        with tracing.span("prepare"):
            await asyncio.to_thread(self._dest.check)
            manifest = await self._manifest()
            await self._bind(manifest)
        with tracing.span("compare"):
            await self._look_around()
            await self._load_parts()
            await self._make_empty()
        with tracing.span("fetch"):
            await self._fetch()
        if resumed:
            await self._tidy()
        return {
            "asset_id": manifest.content.asset_id,
            "content_id": manifest.content.content_id,
            "digest": manifest.content.digest,
        }

    async def _tidy(self) -> None:
        """Remove what runs that died may have left. Everything has come: that this fails is no reason to fail."""
        try:
            await finish_in_thread(partial(self._dest.discard, self._files))
        except FerryError as error:
            log.warning("part files could not be looked for id=%s error=%r", self._run.id, error)

    async def _manifest(self) -> Manifest:
        """Also fresh locations, whenever it is asked again."""
        content_id = self._run.transfer.pinned_content_id or self._spec.content_id
        manifest, files = await self._run.hub.get_manifest(self._spec.asset_id, content_id)
        self._run.answered.set()
        self._remote = [file for file in files if self._wanted(file)]
        if files and not self._remote:
            wanted = ", ".join(self._spec.include)
            raise FerryError("INVALID_ARGUMENT", f"no file of {self._spec.asset_id} matches {wanted}", field="include")
        return manifest

    async def _bind(self, manifest: Manifest) -> None:
        """The first time: pin the version, and say what there is to do."""
        if self._run.transfer.pinned_content_id:
            self._files = await self._tools.ledger.store.files(self._run.id)
            return
        self._files = await asyncio.to_thread(self._dest.place, self._remote)
        await self._run.record(parts=(), persisted=True, files=self._files, **self._pin(manifest))

    async def _look_around(self) -> None:
        """What is at the final names already, before a byte is fetched."""
        settle = partial(self._dest.settle, self._files, self._remote, again=self._run.transfer.looked)
        settled = await asyncio.to_thread(settle)
        self._put(settled)
        done = [file for file in self._files if file.done]
        self._run.tally.confirm(sum(map(_count, done)), sum(file.size_bytes for file in done))
        if settled or len(done) != self._run.transfer.present_file_count or not self._run.transfer.looked:
            shown = {"present_file_count": len(done), "looked": True}
            await self._run.record(parts=(), persisted=True, files=settled, **shown)

    def _pin(self, manifest: Manifest) -> dict[str, Any]:
        """The fields of a transfer whose version is known."""
        chunk_count = sum(map(_count, self._files))
        self._run.tally.resize(chunk_count)
        return {
            "pinned_content_id": manifest.content.content_id,
            "asset_id": manifest.content.asset_id,
            "title": manifest.title,
            "size_bytes": sum(file.size_bytes for file in self._files),
            "chunk_count": chunk_count,
            "file_count": len(self._files),
        }

    async def _load_parts(self) -> None:
        """What earlier runs have received."""
        self._put([replace(file, persisted_bytes=0) for file in self._files if file.persisted_bytes and not file.done])
        for row in await self._tools.ledger.store.parts(self._run.id):
            key = (row.part.file_index, row.part.number)
            if not self._files[key[0]].done:
                self._claimed[key] = row.part.block_digests

    async def _fetch(self) -> None:
        missing = [
            (file.index, number) for file in self._files if not file.done for number in range(1, _count(file) + 1)
        ]
        fetching = Fetching(self._run, self._tools, self._remote_file, self._renew)

        async def do(batch: list[Key]) -> None:
            short = [key for key in batch if self._is_short(key)]
            if short:
                await self._fetch_short(fetching, [self._files[index] for index, _ in short])
            for key in batch:
                if not self._is_short(key):
                    await self._fetch_part(fetching, key)

        await work_off(self._run, self._tools.slots, missing, self._files, do)

    def _is_short(self, key: Key) -> bool:
        """Whether a part is a file that comes in one go. Not when an earlier daemon has left it as a part."""
        file = self._files[key[0]]
        short = _count(file) == 1 and file.size_bytes <= SHORT_BYTES
        return short and self._dest.takes_whole and key not in self._claimed

    async def _fetch_short(self, fetching: Fetching, files: Sequence[TransferFile]) -> None:
        for file in files:
            self._check_manifest(file, self._remote[file.index].part_digests)

        done: list[TransferFile] = []  #: named, and not noted yet

        def keep(coming: Sequence[TransferFile], here: Callable[[TransferFile], None]) -> Keep:
            def tell(file: TransferFile) -> None:
                done.append(file)
                here(file)

            return self._dest.keep(self._remote, coming, tell)

        try:
            async for some in fetching.fetch_short(files, keep):
                del done[: len(some)]
                await self._note_named(some)
        finally:
            if done:  # another batch has failed meanwhile
                await self._note_named(done)

    async def _note_named(self, files: Sequence[TransferFile]) -> None:
        self._put(files)
        self._run.tally.confirm(len(files), sum(file.size_bytes for file in files))
        await self._note_progress([], files)

    async def _fetch_part(self, fetching: Fetching, key: Key) -> None:
        await self._prepare(key[0])
        blocks = await self._found_again(key)
        if blocks is not None:
            await self._confirm(Part(*key, blocks), fresh=False)
        else:
            await self._confirm(await fetching.fetch(key, self._files[key[0]]), fresh=True)

    async def _found_again(self, key: Key) -> bytes | None:
        """The block digests of a part that an earlier run left, when its bytes are still those."""
        claimed = self._claimed.get(key)
        if claimed is None:
            return None
        file = self._files[key[0]]
        self._run.show(Phase.VERIFYING, file)
        span = span_of(file, key[1])
        if await self._tools.lanes.hash_received(Path(file.part_path), span, self._run.meter) == claimed:
            return claimed
        self._run.resent(span.length)
        return None

    def _remote_file(self, index: int) -> RemoteFile:
        return self._remote[index]

    async def _renew(self) -> None:
        """Fresh locations, of the pinned version."""
        await self._manifest()

    async def _prepare(self, index: int) -> None:
        """Make the part file. That of a file whose parts are in several batches is made by the first of them; the
        others wait, for when that fails all are cancelled."""
        if index in self._prepared:
            await self._prepared[index].wait()
            return
        self._prepared[index] = ready = asyncio.Event()
        await self._touch(partial(self._dest.prepare, self._files[index]))
        ready.set()

    async def _confirm(self, part: Part, *, fresh: bool) -> None:
        """It is durably in its part file and right: write a row for a `fresh` one, then show it; publish the file when
        that was the last."""
        crashpoint("after-part-file-write")
        file = self._files[part.file_index]
        self._blocks[file.index, part.number] = part.block_digests
        length = span_of(file, part.number).length
        self._files[file.index] = file = replace(file, persisted_bytes=file.persisted_bytes + length)
        self._run.tally.confirm(1, length)
        self._here[file.index] += 1
        whole = self._here[file.index] == _count(file)  # before any await: another batch may hold the last part but one
        if fresh:
            await self._note_progress([part], [file])
        self._run.show(self._run.phase, file)
        crashpoint("after-part-row")
        if whole:
            await self._end(file)

    async def _note_progress(self, parts: Sequence[Part], files: Sequence[TransferFile]) -> None:
        self._run.progressed = True
        last = files[-1]
        await self._run.record(parts=parts, persisted=True, files=files, file_index=last.index, file_name=last.path)

    async def _end(self, file: TransferFile) -> None:
        """Verify a file whose part file is complete, and publish it."""
        blocks = (self._blocks[file.index, number] for number in range(1, _count(file) + 1))
        self._check_manifest(file, digest.of_blocks(blocks))
        self._run.show(Phase.WRITING, file)
        self._run.check()
        await self._touch(partial(self._dest.publish, [file], self._remote))

    async def _make_empty(self) -> None:
        """Nothing has to come for files without bytes."""
        empty = [file for file in self._files if not file.done and not file.size_bytes]
        for file in empty:
            self._check_manifest(file, digest.of_bytes(b""))
            if not self._dest.takes_whole:
                await self._prepare(file.index)
                await self._end(self._files[file.index])
        if empty and self._dest.takes_whole:
            nothing = [memoryview(b"")] * len(empty)
            await self._touch(lambda done: self._dest.keep(self._remote, empty, done)(nothing))

    async def _touch(self, do: Callable[[Callable[[TransferFile], None]], None]) -> None:
        """Do something to local files in a thread. Whatever ends it in the midst of them, what was done is recorded."""
        done: list[TransferFile] = []
        try:
            await finish_in_thread(lambda: do(done.append))
        finally:
            if done:
                self._put(done)
                await self._run.record(parts=(), persisted=True, files=done)

    def _check_manifest(self, file: TransferFile, found: bytes) -> None:
        """What the parts say that the file is has to be what is said of the file."""
        if found != self._remote[file.index].digest:
            message = f"the parts of {file.path} are right, but not the file: the hub's manifest does not agree with it"
            raise FerryError("BLOB_DAMAGED", message, path=file.path)

    def _wanted(self, file: RemoteFile) -> bool:
        return not self._spec.include or any(fnmatchcase(file.path, pattern) for pattern in self._spec.include)

    def _put(self, files: Sequence[TransferFile]) -> None:
        for file in files:
            self._files[file.index] = file


def _count(file: TransferFile) -> int:
    return part_count(file.size_bytes, file.part_bytes)
