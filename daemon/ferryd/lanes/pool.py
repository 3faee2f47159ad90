"""The lanes' threads: hash, send and receive parts beside the event loop. Upload steps 4 and 8, download D8.

A call ends only when its thread has let go of the files: cancelling stops the thread first. Which lane a part takes
follows from its location. No decision about parts, retries or limits is made here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Final, TypeVar

from ferryd.core.model import Hashed, HashedPack, SourceFile, Span
from ferryd.core.ports import Incoming, Interrupted, Keep, Location, Meter, Outgoing, ShortFile
from ferryd.lanes import crc64
from ferryd.lanes.arrivals import receive
from ferryd.lanes.departures import Departures
from ferryd.lanes.durable import sync_data
from ferryd.lanes.halt import Halt
from ferryd.lanes.hashing import EndOfFile, hash_part, hash_span
from ferryd.lanes.http import HttpLane
from ferryd.lanes.packs import hash_pack
from ferryd.lanes.pagecache import Passing
from ferryd.lanes.short_files import ShortFiles
from ferryd.lanes.source import opened_whole
from ferryd.lanes.windows import Buffers
from ferryd.lanes.wire import Connections

T = TypeVar("T")

log = logging.getLogger(__name__)
_LOOK_S: Final = 0.25
#: A thread that is stuck in the kernel (a dead network file system) is left behind after this long.
_LET_GO_S: Final = 5.0


class ByteLanes:
    """Implements the port `Lanes` with at most `threads` threads, each with a buffer of 1 MiB.

    `connect_timeout_s` bounds connecting, `stall_timeout_s` any wait for a byte, in or out. `tls` is for tests and
    private authorities; the default trusts what the system trusts.
    """

    def __init__(
        self,
        *,
        threads: int = 8,
        connect_timeout_s: float = 10.0,
        stall_timeout_s: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lane")
        self._buffers = Buffers()
        self._connections = Connections(connect_timeout_s=connect_timeout_s, stall_timeout_s=stall_timeout_s, tls=tls)
        self._http = HttpLane(self._connections)
        self._passing = Passing()

    async def hash(self, source: SourceFile, span: Span, meter: Meter, *, crc64nvme: bool = False) -> Hashed:
        """Block digests, and the CRC, of a span of a source; counts nothing. SOURCE_CHANGED, SOURCE_MISSING,
        SOURCE_UNREADABLE, UNIMPLEMENTED."""
        (found,) = await self.hash_all([(source, span)], meter, crc64nvme=crc64nvme)
        return found

    async def hash_all(
        self, parts: Sequence[tuple[SourceFile, Span]], meter: Meter, *, crc64nvme: bool = False
    ) -> list[Hashed]:
        """See the port."""

        def work(halt: Halt) -> list[Hashed]:
            crc = crc64.load() if crc64nvme else None
            return [self._hash(source, span, halt, crc) for source, span in parts]

        return await self._run(work, meter)

    async def send(self, source: SourceFile, span: Span, to: Location, block_digests: bytes, meter: Meter) -> None:
        """Send a span; returns when the receiver has it durably. SOURCE_CHANGED when it is not what was hashed."""
        await self.send_all([Outgoing(source, span, to, block_digests)], meter, lambda: None)

    async def hash_pack(self, sources: Sequence[SourceFile], meter: Meter, *, crc64nvme: bool = False) -> HashedPack:
        """See the port."""

        def work(halt: Halt) -> HashedPack:
            crc = crc64.load() if crc64nvme else None
            return hash_pack(sources, self._buffers.view(), halt, crc)

        return await self._run(work, meter)

    async def send_all(self, parts: Sequence[Outgoing], meter: Meter, done: Callable[[], None]) -> None:
        """See the port."""

        def work(halt: Halt) -> None:
            Departures(self._http, self._passing, self._buffers.view(), halt, done).send(parts)

        await self._run(work, meter)

    async def send_pack(
        self, sources: Sequence[SourceFile], to: Location, meter: Meter, data: bytes | bytearray = b""
    ) -> None:
        """See the port."""

        def work(halt: Halt) -> None:
            Departures(self._http, self._passing, self._buffers.view(), halt, lambda: None).send_pack(sources, to, data)

        await self._run(work, meter)

    async def receive(self, part: Incoming, meter: Meter) -> bytes:
        """See the port."""
        return await self._run(lambda halt: receive(self._http, part, self._buffers.view(), halt), meter)

    async def receive_short(self, files: Sequence[ShortFile], meter: Meter, keep: Keep) -> None:
        """See the port."""

        def work(halt: Halt) -> None:
            ShortFiles(self._http, self._buffers.view(), halt, keep).receive(files)

        await self._run(work, meter)

    async def hash_received(self, dest: Path, span: Span, meter: Meter) -> bytes:
        """Block digests of what `dest` holds there now, durably; empty when that is not to be had. Counts nothing."""
        return await self._run(lambda halt: self._hash_received(dest, span, halt), meter)

    def close(self) -> None:
        """Let the threads end and close all connections. Calls under way are not waited for: cancel them before."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    async def _run(self, work: Callable[[Halt], T], meter: Meter) -> T:
        """Do the work in a thread. Looks at the meter meanwhile, so that a stop also ends a wait for the network."""
        halt = Halt(meter)
        job = self._threads.submit(copy_context().run, work, halt)
        ended = asyncio.wrap_future(job)
        try:
            while not (await asyncio.wait({ended}, timeout=_LOOK_S))[0]:
                halt.check()
        except (asyncio.CancelledError, Interrupted):
            halt.stop()
            await _let_go(job, ended, halt)
            raise
        return ended.result()

    def _hash(self, source: SourceFile, span: Span, halt: Halt, crc: crc64.Crc | None) -> Hashed:
        with opened_whole(source) as fd:
            self._passing.hashing(fd, source, span)
            return hash_part(fd, span, self._buffers.view(), halt, crc)

    def _hash_received(self, dest: Path, span: Span, halt: Halt) -> bytes:
        try:
            fd = os.open(dest, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return b""  # whatever is wrong with it, the part is fetched again, and that says so
        try:
            found = hash_span(fd, span, self._buffers.view(), halt, ours=True)
            sync_data(fd)  # these may be other bytes than those that an earlier run synced, though the same
        except (OSError, EndOfFile):
            return b""
        else:
            return found
        finally:
            os.close(fd)


async def _let_go(job: Future[T], ended: asyncio.Future[T], halt: Halt) -> None:
    """Wait until the thread is out of the files, whatever else happens to this task."""
    if job.cancel():
        return
    loop = asyncio.get_running_loop()
    until, told = loop.time() + _LET_GO_S, False
    while not ended.done():
        if loop.time() >= until:
            if halt.abandon():
                break
            if not told:
                log.warning("a disk takes long: waiting for files that are being written")
                told = True
        try:
            await asyncio.wait({ended}, timeout=max(_LOOK_S, until - loop.time()))
        except asyncio.CancelledError:
            continue  # the caller raises the first one when we are through
    ended.add_done_callback(lambda future: future.cancelled() or future.exception())  # retrieved: nobody waits for it
