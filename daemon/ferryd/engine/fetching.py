"""Fetches parts, and short files many together, and makes sure of them. Download step D8.

What arrives wrong is fetched again, a few times; then the hub's bytes are damaged. Expired locations are renewed once
for all that meet them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ferryd.core.model import Part, Phase, TransferFile
from ferryd.core.ports import Incoming, Interrupted, Keep, RemoteFile, ShortFile
from ferryd.engine.batches import Key
from ferryd.engine.delivery import AGAIN, TRIES, Patience
from ferryd.engine.run import Run, Tools, span_of
from ferrywire import digest
from ferrywire.reasons import FerryError

T = TypeVar("T")

#: What is to be fetched: a part of a file.
_Wanted = tuple[TransferFile, int]
#: Fetches some, with their locations; gives to the function what of them is here, in order, before it raises.
_Receive = Callable[[Sequence[_Wanted], Sequence[RemoteFile], Callable[[T], None]], Awaitable[None]]
#: For files that come in this order, what is to be done with their bytes; it tells of each that has its final name.
_Keeping = Callable[[Sequence[TransferFile], Callable[[TransferFile], None]], Keep]


class Fetching:
    """Fetches for one run. `remote` gives a file, by index, with its present location; `renew` gets fresh ones for all
    files."""

    def __init__(
        self, run: Run, tools: Tools, remote: Callable[[int], RemoteFile], renew: Callable[[], Awaitable[None]]
    ) -> None:
        self._run = run
        self._tools = tools
        self._remote = remote
        self._renew = renew
        self._renewing = asyncio.Lock()

    async def fetch(self, key: Key, file: TransferFile) -> Part:
        """A part, once it is durably in its part file and right. BLOB_DAMAGED when it never is."""
        found = [part async for parts in self._fetch([(file, key[1])], self._receive) for part in parts]
        return found[0]

    async def fetch_short(self, files: Sequence[TransferFile], keeping: _Keeping) -> AsyncIterator[list[TransferFile]]:
        """Yields files once they have their final names, in order. BLOB_DAMAGED when one is never right."""

        async def receive(
            wanted: Sequence[_Wanted], origins: Sequence[RemoteFile], here: Callable[[TransferFile], None]
        ) -> None:
            short = [_short(origin) for origin in origins]
            await self._tools.lanes.receive_short(short, self._run.meter, keeping([file for file, _ in wanted], here))

        async for some in self._fetch([(file, 1) for file in files], receive):
            yield some

    async def _receive(
        self, wanted: Sequence[_Wanted], origins: Sequence[RemoteFile], here: Callable[[Part], None]
    ) -> None:
        ((file, number),) = wanted
        blocks = await self._tools.lanes.receive(_incoming(file, number, origins[0]), self._run.meter)
        here(Part(file.index, number, blocks))

    async def _fetch(self, wanted: Sequence[_Wanted], receive: _Receive[T]) -> AsyncIterator[list[T]]:
        pending, patience = list(wanted), Patience()
        while pending:
            file, number = pending[0]
            self._run.show(Phase.RECEIVING, file)
            origins = [self._remote(file.index) for file, _ in pending]
            found, error = await self._attempt(pending, origins, receive)
            if found:
                patience = Patience()  # what fails now is another part than before
                yield found
                pending = pending[len(found) :]
            if isinstance(error, Interrupted):
                raise error
            if error is not None and pending:
                file, number = pending[0]
                await self._wait_after(error, patience, file, origins[len(found)])
                if error.reason != "SIGNATURE_INVALID":  # refused before a byte moved
                    self._run.resent(span_of(file, number).length)

    async def _attempt(
        self, wanted: Sequence[_Wanted], origins: Sequence[RemoteFile], receive: _Receive[T]
    ) -> tuple[list[T], FerryError | Interrupted | None]:
        """What is here now, and what was wrong with the one after that."""
        found: list[T] = []
        error: FerryError | Interrupted | None = None
        try:
            await receive(wanted, origins, found.append)
        except (FerryError, Interrupted) as caught:
            error = caught
        here = list(found)  # a thread that did not let go may add to the list
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


def _incoming(file: TransferFile, number: int, origin: RemoteFile) -> Incoming:
    assert origin.location is not None
    expected = origin.part_digests[(number - 1) * digest.DIGEST_BYTES : number * digest.DIGEST_BYTES]
    return Incoming(origin.location, span_of(file, number), Path(file.part_path), expected)


def _short(origin: RemoteFile) -> ShortFile:
    assert origin.location is not None
    return ShortFile(origin.location, origin.size_bytes, origin.digest)


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
