"""Fetches a batch of parts and makes sure of them. Download step D8.

A part that arrives wrong is fetched again, a few times; then the hub's bytes are damaged. Expired locations are renewed
once for all parts that meet them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from ferryd.core.model import Part, Phase, TransferFile
from ferryd.core.ports import Incoming, Interrupted, RemoteFile
from ferryd.engine.batches import Key
from ferryd.engine.delivery import AGAIN, TRIES, Patience
from ferryd.engine.run import Run, Tools, span_of
from ferrywire import digest
from ferrywire.reasons import FerryError


class Fetching:
    """Fetches parts of one run. `remote` gives a file, by index, with its present location; `renew` gets fresh ones
    for all files."""

    def __init__(
        self, run: Run, tools: Tools, remote: Callable[[int], RemoteFile], renew: Callable[[], Awaitable[None]]
    ) -> None:
        self._run = run
        self._tools = tools
        self._remote = remote
        self._renew = renew
        self._renewing = asyncio.Lock()

    async def fetch(self, keys: Sequence[Key], files: Sequence[TransferFile]) -> AsyncIterator[list[Part]]:
        """Yields parts once they are durably in their part files and right, in order. BLOB_DAMAGED when one never is.
        `files` are by index."""
        pending, patience = list(keys), Patience()
        while pending:
            self._run.show(Phase.RECEIVING, files[pending[0][0]])
            origins = [self._remote(index) for index, _ in pending]
            found, error = await self._receive(pending, origins, files)
            if found:
                patience = Patience()  # what fails now is another part than before
                yield [Part(*key, blocks) for key, blocks in zip(pending, found, strict=False)]
                pending = pending[len(found) :]
            if isinstance(error, Interrupted):
                raise error
            if error is not None:
                file = files[pending[0][0]]
                await self._wait_after(error, patience, file, origins[len(found)])
                if error.reason != "SIGNATURE_INVALID":  # refused before a byte moved
                    self._run.resent(span_of(file, pending[0][1]).length)

    async def _receive(
        self, keys: Sequence[Key], origins: Sequence[RemoteFile], files: Sequence[TransferFile]
    ) -> tuple[tuple[bytes, ...], FerryError | Interrupted | None]:
        """The block digests of what is here now, and what was wrong with the part after that."""
        found: list[bytes] = []
        parts = [_incoming(*of, files) for of in zip(keys, origins, strict=True)]
        error: FerryError | Interrupted | None = None
        try:
            await self._tools.lanes.receive_all(parts, self._run.meter, found.append)
        except (FerryError, Interrupted) as caught:
            error = caught
        here = tuple(found)  # a thread that did not let go may add to the list
        for _ in here:
            self._run.part_moved()
        return here, error

    async def _wait_after(self, error: FerryError, patience: Patience, file: TransferFile, origin: RemoteFile) -> None:
        """Return when a part of this file, and those after it, may be tried again; raises what ends the attempt."""
        self._run.part_failed(error)
        wait_s = _wear(patience, error, file)
        self._run.retried(1)
        if error.reason == "SIGNATURE_INVALID":
            async with self._renewing:
                if self._remote(file.index) is origin:  # nobody else has renewed it meanwhile
                    await self._renew()
        await self._tools.clock.sleep(wait_s)
        self._run.check()


def _incoming(key: Key, origin: RemoteFile, files: Sequence[TransferFile]) -> Incoming:
    assert origin.location is not None
    index, number = key
    file = files[index]
    expected = origin.part_digests[(number - 1) * digest.DIGEST_BYTES : number * digest.DIGEST_BYTES]
    return Incoming(origin.location, span_of(file, number), Path(file.part_path), expected)


def _wear(patience: Patience, error: FerryError, file: TransferFile) -> float:
    """How long to wait, in seconds; raises what ends the attempt."""
    if error.reason not in AGAIN:
        raise error
    try:
        return patience.wear(error)
    except FerryError as last:
        raise _final(last, file) from error


def _final(error: FerryError, file: TransferFile) -> FerryError:
    if error.reason != "CHUNK_CORRUPT":
        return error
    message = f"{file.path}: {error.message}, {TRIES} times: the hub's stored bytes do not verify"
    return FerryError("BLOB_DAMAGED", message, path=file.path)
