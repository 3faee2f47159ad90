"""Files and digests for tests of the lanes."""

from __future__ import annotations

import os
import random
import ssl
from pathlib import Path

import trustme

from ferryd.core.model import SourceFile
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
