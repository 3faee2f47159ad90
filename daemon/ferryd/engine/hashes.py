"""What is known of the bytes of an upload's parts: each is hashed once, with its CRC where the hub's store wants that.

Upload step 8. Digests of large parts get a row, so that the next run need not read them again. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ferryd.core.model import CRC64NVME, Hashed, HashedPack, Part, Phase, SourceFile, StoredPart, TransferFile
from ferryd.engine.batches import Key
from ferryd.engine.run import Run, Tools, span_of
from ferrywire import digest
from ferrywire.parts import part_count
from ferrywire.reasons import FerryError

#: A part below this is hashed again by the next run when this one ends too early: 0.2 ms, less than a row would cost.
_WORTH_A_ROW_BYTES: Final = 1 << 20


class Hashes:
    """The digests of one run's parts. `sources` and `files` are by file index."""

    def __init__(self, run: Run, tools: Tools) -> None:
        self._run = run
        self._tools = tools
        self._blocks: dict[Key, bytes] = {}  #: block digests of every part known so far
        self._crcs: dict[Key, bytes] = {}  #: of the parts hashed since the hub asks for it

    def load(self, row: StoredPart) -> None:
        """What an earlier run found."""
        key = (row.part.file_index, row.part.number)
        self._blocks[key] = row.part.block_digests
        if row.part.crc64nvme:
            self._crcs[key] = row.part.crc64nvme

    def clear(self) -> None:
        """The parts are others now."""
        self._blocks.clear()
        self._crcs.clear()

    def agrees(self, part: Part) -> bool:
        """Whether a part that the hub has is the one that we have; true when we had none."""
        return self._blocks.setdefault((part.file_index, part.number), part.block_digests) == part.block_digests

    def of_file(self, file: TransferFile) -> bytes:
        """The digest of a file whose parts are all known."""
        count = part_count(file.size_bytes, file.part_bytes)
        return digest.of_blocks(self._blocks[file.index, number] for number in range(1, count + 1))

    async def hash(
        self, batch: Sequence[Key], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> list[Part]:
        """The parts of a batch; those that are not known yet are read. SOURCE_CHANGED."""
        wants_crc = self._wants_crc
        unknown = [key for key in batch if key not in self._blocks or (wants_crc and key not in self._crcs)]
        if unknown:
            found = await self._read(unknown, sources, files)
            for key, one in zip(unknown, found, strict=True):
                self._learn(key, one.block_digests, sources[key[0]])
                if wants_crc:
                    self._crcs[key] = one.crc64nvme
            large = [key for key in unknown if span_of(files[key[0]], key[1]).length >= _WORTH_A_ROW_BYTES]
            if large:
                await self._run.record(parts=self._parts(large), persisted=False)
        return self._parts(batch)

    async def hash_pack(
        self, pack: Sequence[Key], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> tuple[list[Part], HashedPack]:
        """The files of a pack, and what was found of all of them. They are read, known or not. SOURCE_CHANGED."""
        self._run.show(Phase.HASHING, files[pack[0][0]])
        these = [sources[index] for index, _ in pack]
        found = await self._tools.lanes.hash_pack(these, self._run.meter, crc64nvme=self._wants_crc)
        for key, block_digests, source in zip(pack, found.block_digests, these, strict=True):
            self._learn(key, block_digests, source)
        return [Part(*key, block_digests) for key, block_digests in zip(pack, found.block_digests, strict=True)], found

    async def _read(
        self, keys: Sequence[Key], sources: Sequence[SourceFile], files: Sequence[TransferFile]
    ) -> list[Hashed]:
        self._run.show(Phase.HASHING, files[keys[0][0]])
        spans = [(sources[index], span_of(files[index], number)) for index, number in keys]
        return await self._tools.lanes.hash_all(spans, self._run.meter, crc64nvme=self._wants_crc)

    def _learn(self, key: Key, block_digests: bytes, source: SourceFile) -> None:
        if self._blocks.setdefault(key, block_digests) != block_digests:
            message = f"{source.path} changed while it was uploaded: part {key[1]} is not what it was"
            raise FerryError("SOURCE_CHANGED", message, path=source.local_path)

    def _parts(self, keys: Sequence[Key]) -> list[Part]:
        wants_crc = self._wants_crc
        return [Part(*key, self._blocks[key], self._crcs.get(key, b"") if wants_crc else b"") for key in keys]

    @property
    def _wants_crc(self) -> bool:
        return self._run.transfer.part_checksum == CRC64NVME
