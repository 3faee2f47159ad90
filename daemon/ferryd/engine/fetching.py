"""Fetches one part and makes sure of it. Download step D8.

A part that arrives wrong is fetched again, a few times; then the hub's bytes are damaged. Expired locations are renewed
once for all parts that meet them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ferryd.core.model import Phase, Span, TransferFile
from ferryd.core.ports import Incoming, RemoteFile
from ferryd.engine.delivery import AGAIN, TRIES, Patience
from ferryd.engine.run import Run, Tools, span_of
from ferrywire import digest
from ferrywire.reasons import FerryError


class Fetching:
    """Fetches parts of one run. `renew` gets fresh locations for all files."""

    def __init__(self, run: Run, tools: Tools, renew: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._tools = tools
        self._renew = renew
        self._renewing = asyncio.Lock()

    async def fetch(self, file: TransferFile, remote: Callable[[], RemoteFile], number: int) -> bytes:
        """The block digests of a part, once it is durably in its part file and right. BLOB_DAMAGED when it never is.
        `remote` gives the file with its present location."""
        self._run.show(Phase.RECEIVING, file)
        span = span_of(file, number)
        patience = Patience()
        while True:
            origin = remote()
            try:
                blocks = await self._receive(origin, number, span, Path(file.part_path))
            except FerryError as error:
                self._run.part_failed(error)
                wait_s = _wear(patience, error, file)
                self._run.retried(1)
                if error.reason == "SIGNATURE_INVALID":
                    await self._renewed(origin, remote)
                await self._tools.clock.sleep(wait_s)
                self._run.check()
                if error.reason != "SIGNATURE_INVALID":  # refused before a byte moved
                    self._run.resent(span.length)
            else:
                self._run.part_moved()
                return blocks

    async def _receive(self, origin: RemoteFile, number: int, span: Span, dest: Path) -> bytes:
        assert origin.location is not None
        found: list[bytes] = []
        part = Incoming(origin.location, span, dest)
        await self._tools.lanes.receive_all([part], self._run.meter, found.append)
        blocks = found[0]
        expected = origin.part_digests[(number - 1) * digest.DIGEST_BYTES : number * digest.DIGEST_BYTES]
        if digest.of_blocks(blocks) != expected:
            raise FerryError("CHUNK_CORRUPT", f"part {number} of {origin.path} arrived damaged", partNumber=number)
        return blocks

    async def _renewed(self, origin: RemoteFile, remote: Callable[[], RemoteFile]) -> None:
        async with self._renewing:
            if remote() is origin:  # nobody else has renewed it meanwhile
                await self._renew()


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
