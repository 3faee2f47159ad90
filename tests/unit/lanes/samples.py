"""Files and digests for tests of the lanes."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme

from ferryd.core.model import SourceFile, Span
from ferryd.core.ports import Incoming, Location, Meter, ShortFile
from ferryd.lanes.pool import ByteLanes
from ferryd.lanes.source import identity_of
from ferrywire.digest import BlockHasher

MIB = 1 << 20


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def source_of(path: Path) -> SourceFile:
    return SourceFile(path.name, str(path), identity_of(os.stat(path)))


def make_source(directory: Path, data: bytes, name: str = "data.bin") -> SourceFile:
    path = directory / name
    path.write_bytes(data)
    os.utime(path, (1_700_000_000, 1_700_000_000))  # whatever is written later is later, however coarse the clock
    return source_of(path)


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and that of a client which trusts it alone."""
    authority, server, client = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def blocks(data: bytes) -> bytes:
    hasher = BlockHasher()
    hasher.update(memoryview(data))
    return hasher.block_digests()


async def received(lanes: ByteLanes, origin: Location, span: Span, dest: Path, meter: Meter) -> bytes:
    """The digests of a part that arrives in its file, whatever it is."""
    return await lanes.receive(Incoming(origin, span, dest, digest=None), meter)


async def receive_files(
    lanes: ByteLanes, parts: Sequence[Incoming], meter: Meter, done: Callable[[bytes], None]
) -> None:
    """Fetch short files together; each is written to its `dest` and told of when it is handed on."""
    coming = iter(parts)

    def keep(contents: Sequence[memoryview]) -> None:
        for content in contents:
            next(coming).dest.write_bytes(content)
            done(blocks(bytes(content)))

    files = [ShortFile(part.origin, part.span.length, part.digest or b"") for part in parts]
    await lanes.receive_short(files, meter, keep)
