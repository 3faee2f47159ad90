"""A download from manifest to published files. Download steps D7 to D10.

The version is pinned at the first manifest. A part row is written only after the lane has fdatasynced the part and its
digest agreed; a later run hashes that part once more, because anybody may have touched the part file meanwhile. Nothing
half-written has a final name.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import DownloadSpec, Part, Phase, TransferFile
from ferryd.core.ports import Manifest, RemoteFile
from ferryd.engine.batches import Key, work_off
from ferryd.engine.destination import Destination
from ferryd.engine.fetching import Fetching
from ferryd.engine.run import Run, Tools, span_of
from ferryd.engine.waiting import finish_in_thread
from ferrywire import digest, tracing
from ferrywire.parts import part_count
from ferrywire.reasons import FerryError


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
        self._ending: set[int] = set()  #: whole, and being published by somebody

    async def perform(self) -> dict[str, Any]:
        """Fetch what is missing and publish; returns the fields of success. Any `FerryError`."""
        with tracing.span("prepare"):
            await asyncio.to_thread(self._dest.check)
            manifest = await self._manifest()
            await self._bind(manifest)
        with tracing.span("compare"):
            await self._look_around()
            await self._load_parts()
            await self._end_files([file.index for file in self._files if not file.done and not _count(file)])
        with tracing.span("fetch"):
            await self._fetch()
        return {
            "asset_id": manifest.content.asset_id,
            "content_id": manifest.content.content_id,
            "digest": manifest.content.digest,
        }

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
        """The first time: pin the version, plan the files."""
        if self._run.transfer.pinned_content_id:
            self._files = await self._tools.ledger.store.files(self._run.id)
            return
        self._files = await asyncio.to_thread(self._dest.place, self._remote)
        await self._run.record(
            parts=(),
            persisted=True,
            files=self._files,
            pinned_content_id=manifest.content.content_id,
            asset_id=manifest.content.asset_id,
            title=manifest.title,
            size_bytes=sum(file.size_bytes for file in self._files),
            chunk_count=sum(map(_count, self._files)),
            file_count=len(self._files),
        )
        self._run.tally.resize(self._run.transfer)

    async def _look_around(self) -> None:
        """What is at the final names already, before a byte is fetched."""
        settled = await asyncio.to_thread(self._dest.settle, self._files, self._remote)
        self._put(settled)
        done = [file for file in self._files if file.done]
        self._run.tally.confirm(sum(map(_count, done)), sum(file.size_bytes for file in done))
        if settled or len(done) != self._run.transfer.present_file_count:
            await self._run.record(parts=(), persisted=True, files=settled, present_file_count=len(done))

    async def _load_parts(self) -> None:
        """What earlier runs have received."""
        self._put([replace(file, persisted_bytes=0) for file in self._files if not file.done])
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
            await self._prepare({index for index, _ in batch})
            found = [Part(*key, blocks) for key in batch if (blocks := await self._found_again(key)) is not None]
            if found:
                await self._confirm(found, fresh=False)
            async for parts in fetching.fetch([key for key in batch if key not in self._blocks], self._files):
                await self._confirm(parts, fresh=True)

        await work_off(self._run, self._tools.slots, missing, self._files, do)

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

    async def _prepare(self, indexes: set[int]) -> None:
        """Make the part files of these. A file whose parts are in several batches is prepared by the first of them; the
        others wait, for when that fails all are cancelled."""
        new = [self._files[index] for index in sorted(indexes) if index not in self._prepared]
        if new:
            ready = asyncio.Event()
            self._prepared |= {file.index: ready for file in new}
            await self._touch(partial(self._dest.prepare, new))
            ready.set()
        for index in indexes:
            await self._prepared[index].wait()

    async def _touch(self, do: Callable[[Callable[[TransferFile], None]], None]) -> None:
        """Do something to local files in a thread. Whatever ends it in the midst of them, what was done is recorded."""
        done: list[TransferFile] = []
        try:
            await finish_in_thread(lambda: do(done.append))
        finally:
            if done:
                self._put(done)
                await self._run.record(parts=(), persisted=True, files=done)

    async def _confirm(self, parts: Sequence[Part], *, fresh: bool) -> None:
        """These are durably in their part files and right: write rows for `fresh` ones, then show it; publish the files
        they end."""
        crashpoint("after-part-file-write")
        for part in parts:
            key = (part.file_index, part.number)
            self._blocks[key] = part.block_digests
            self._here[part.file_index] += 1
            file = self._files[part.file_index]
            length = self._length(key)
            self._files[file.index] = replace(file, persisted_bytes=file.persisted_bytes + length)
            self._run.tally.confirm(1, length)
        indexes = sorted({part.file_index for part in parts})
        ended = [index for index in indexes if self._whole(index)]
        self._ending.update(ended)  # before any await: another batch may hold the last part but one
        files = [self._files[index] for index in indexes]
        last = files[-1]
        if fresh:
            self._run.progressed = True
            await self._run.record(parts=parts, persisted=True, files=files, file_index=last.index, file_name=last.path)
        self._run.show(self._run.phase, last)
        crashpoint("after-part-row")
        await self._end_files(ended)

    async def _end_files(self, indexes: list[int]) -> None:
        """Verify whole files and publish them."""
        if not indexes:
            return
        await self._prepare(set(indexes))
        for index in indexes:
            self._verify(self._files[index], self._remote[index])
        self._run.show(Phase.WRITING, self._files[indexes[-1]])
        self._run.check()
        await self._touch(partial(self._dest.publish, [self._files[index] for index in indexes], self._remote))

    def _verify(self, file: TransferFile, remote: RemoteFile) -> None:
        blocks = (self._blocks[file.index, number] for number in range(1, _count(file) + 1))
        if digest.of_blocks(blocks) != remote.digest:
            message = f"the parts of {file.path} are right, but not the file: the hub's manifest does not agree with it"
            raise FerryError("BLOB_DAMAGED", message, path=file.path)

    def _whole(self, index: int) -> bool:
        file = self._files[index]
        return not file.done and index not in self._ending and self._here[index] == _count(file)

    def _wanted(self, file: RemoteFile) -> bool:
        return not self._spec.include or any(fnmatchcase(file.path, pattern) for pattern in self._spec.include)

    def _put(self, files: Sequence[TransferFile]) -> None:
        for file in files:
            self._files[file.index] = file

    def _length(self, key: Key) -> int:
        return span_of(self._files[key[0]], key[1]).length


def _count(file: TransferFile) -> int:
    return part_count(file.size_bytes, file.part_bytes)
