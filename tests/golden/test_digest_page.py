"""docs/digest.md is right: its vectors, computed from the page's words with nothing of ours, and then with ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
import xxhash

from ferrywire import digest
from tests.architecture.sources import ROOT

MIB = 1 << 20
PAGE = (ROOT / "docs" / "digest.md").read_text(encoding="utf-8")
INPUTS = {
    "nothing": b"",
    "the one byte `00`": b"\0",
    "the three letters `abc`": b"abc",
    "1 MiB − 1 of `00`": bytes(MIB - 1),
    "1 MiB of `00`": bytes(MIB),
    "1 MiB + 1 of `00`": bytes(MIB + 1),
    "3 MiB, byte *i* is *i* mod 251": bytes(i % 251 for i in range(3 * MIB)),
}
FILES = {"a.csv": b"a,b\n1,2\n", "empty": b"", "ä/z.bin": bytes(MIB + 1)}
VECTORS = dict(re.findall(r"^\| ([^|]+) \| `(xxh3b:[0-9a-f]{32})` \|$", PAGE, re.MULTILINE))
FILE_VECTORS = re.findall(r"^\| `(.+?)` \| ([\d,]+) \| `(xxh3b:[0-9a-f]{32})` \|$", PAGE, re.MULTILINE)


def _by_the_page(data: bytes) -> bytes:
    blocks = [xxhash.xxh3_128(data[at : at + MIB]).digest() for at in range(0, len(data), MIB)]
    return xxhash.xxh3_128(b"".join(blocks)).digest()


def _content_by_the_page(files: Iterable[tuple[str, bytes]]) -> bytes:
    rows = sorted((path.encode(), data) for path, data in files)
    text = b"".join(
        len(path).to_bytes(4, "big") + path + len(data).to_bytes(8, "big") + _by_the_page(data) for path, data in rows
    )
    return xxhash.xxh3_128(text).digest()


def test_the_page_shows_every_vector() -> None:
    assert VECTORS.keys() == INPUTS.keys()
    assert [path for path, _, _ in FILE_VECTORS] == list(FILES)


@pytest.mark.parametrize("name", INPUTS)
def test_file_digest(name: str) -> None:
    assert VECTORS[name] == f"xxh3b:{_by_the_page(INPUTS[name]).hex()}"
    assert digest.to_text(digest.of_bytes(INPUTS[name])) == VECTORS[name]


def test_content_digest() -> None:
    for path, size, written in FILE_VECTORS:
        assert int(size.replace(",", "")) == len(FILES[path])
        assert written == digest.to_text(_by_the_page(FILES[path]))
    shown = re.search(r"Content digest: `(xxh3b:[0-9a-f]{32})`", PAGE)
    assert shown is not None
    assert shown[1] == f"xxh3b:{_content_by_the_page(FILES.items()).hex()}"
    ours = digest.of_manifest([(path, len(data), digest.of_bytes(data)) for path, data in reversed(FILES.items())])
    assert digest.to_text(ours) == shown[1]


def test_the_digest_does_not_depend_on_how_bytes_arrive() -> None:
    data = INPUTS["3 MiB, byte *i* is *i* mod 251"]
    for step in (1_000_003, MIB, 2 * MIB, 7 * MIB):
        hasher = digest.BlockHasher()
        for at in range(0, len(data), step):
            hasher.update(memoryview(data)[at : at + step])
        assert digest.of_blocks(hasher.block_digests()) == _by_the_page(data)
