"""The digest `xxh3b`: XXH3-128 over the XXH3-128 digests of 1 MiB blocks. Specification: docs/digest.md.

Independent of the part size, computable in parallel and resumable, because a file's digest needs only its block
digests. Used where bytes are read or written (upload step 6, download step 4). No I/O here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import xxhash

BLOCK_BYTES: Final = 1 << 20
DIGEST_BYTES: Final = 16
PREFIX: Final = "xxh3b:"
#: So little is hashed by one call: it holds the GIL, for some microseconds.
_AT_ONCE_BYTES: Final = 64 << 10


class BlockHasher:
    """Digests a run of bytes that starts at a block boundary, window by window."""

    def __init__(self) -> None:
        self._blocks = bytearray()
        self._open = xxhash.xxh3_128()
        self._open_bytes = 0

    def update(self, window: memoryview) -> None:
        """Take the next bytes, any number of them."""
        at, end = 0, len(window)
        while at < end:
            take = min(BLOCK_BYTES - self._open_bytes, end - at)
            # Not xxh3_128_digest of a whole block: no faster, and it holds the GIL, so that one lane hashes at a time.
            self._open.update(window[at : at + take])
            self._open_bytes += take
            if self._open_bytes == BLOCK_BYTES:
                self._close_block()
            at += take

    def _close_block(self) -> None:
        self._blocks += self._open.digest()
        self._open.reset()
        self._open_bytes = 0

    def block_digests(self) -> bytes:
        """End the run and return its block digests, one after the other; the last block may be short."""
        if self._open_bytes:
            self._close_block()
        return bytes(self._blocks)


def of_blocks(block_digests: bytes | Iterable[bytes]) -> bytes:
    """The digest, 16 bytes, of bytes whose block digests these are: of a part, or of a whole file."""
    if isinstance(block_digests, bytes):
        return xxhash.xxh3_128_digest(block_digests)
    # Not joined: those of a file of terabytes are tens of megabytes.
    whole = xxhash.xxh3_128()
    for digests in block_digests:
        whole.update(digests)
    return whole.digest()


def of_bytes(data: bytes | memoryview) -> bytes:
    """The digest, 16 bytes, of a short piece in memory."""
    if 0 < len(data) <= _AT_ONCE_BYTES:
        return xxhash.xxh3_128_digest(xxhash.xxh3_128_digest(data))
    hasher = BlockHasher()
    hasher.update(memoryview(data))
    return of_blocks(hasher.block_digests())


def of_manifest(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """The digest, 16 bytes, of a content: over (path, size, file digest) of its files in order of UTF-8 path."""
    rows = sorted((path.encode(), size, digest) for path, size, digest in files)
    whole = xxhash.xxh3_128()
    for path, size, digest in rows:
        whole.update(len(path).to_bytes(4, "big") + path + size.to_bytes(8, "big") + digest)
    return whole.digest()


def to_text(digest: bytes) -> str:
    """`xxh3b:` and 32 hexadecimal digits."""
    return PREFIX + digest.hex()


def from_text(text: str) -> bytes:
    """The 16 bytes of a written digest. Raises ValueError for anything else."""
    raw = bytes.fromhex(text.removeprefix(PREFIX))
    if not text.startswith(PREFIX) or len(raw) != DIGEST_BYTES:
        raise ValueError(f"not an {PREFIX[:-1]} digest: {text!r}")
    return raw
