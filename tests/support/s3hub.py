"""A hub in a process of its own whose bytes go to a real S3 store, and a store that can be told to be busy."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.hubs import HubServer
from tests.support.proxy import Proxy
from tests.support.s3 import S3Server

_BUSY_BODY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_BUSY = (
    b"HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
    % (len(_BUSY_BODY), _BUSY_BODY)
)


class BusyProxy(Proxy):
    """While it is `busy` every request is answered with 503 SlowDown."""

    busy = False
    refused = 0

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.busy:
            await super()._join(reader, writer)
            return
        await reader.readuntil(b"\r\n\r\n")
        self.refused += 1
        writer.write(_BUSY)
        await writer.drain()
        while await reader.read(1 << 16):  # or the reply would be lost in a reset
            pass


@dataclass
class S3Hub:
    """The hub, its store, and the bucket with everything it keeps."""

    hub: HubServer
    store: S3Server
    bucket: str

    @property
    def keys(self) -> dict[str, int]:
        return self.store.keys(self.bucket)

    @property
    def uploads(self) -> list[tuple[str, str]]:
        return self.store.uploads(self.bucket)


@contextmanager
def s3_hub(
    store: S3Server,
    *options: str,
    endpoint: str = "",
    public: str = "",
    url_ttl_s: int = 600,
    bucket: str = "",
    keys: bool = True,
    serve: Sequence[str] = (),
) -> Iterator[S3Hub]:
    """A started hub. `options` are more words for `ferryhub storage add`, `serve` for `ferryhub serve`; `endpoint` and
    `public` stand before the store. Without `keys` it finds its own. Afterwards stopped; a traceback in its log is a
    failure."""
    root, bucket = Path(tempfile.mkdtemp(prefix="fyhub")), bucket or store.bucket()
    outer = dict(os.environ)
    os.environ.update(store.env if keys else {})
    try:
        server = HubServer(root / "hub", "--url-ttl", str(url_ttl_s), *serve)
        words = ["--bucket", bucket, "--endpoint", endpoint or store.endpoint, "--prefix", "kept"]
        words += ["--public-endpoint", public] if public else []
        server.command("storage", "add", "lake", "--s3", *words, *options)
        server.command("storage", "default", "lake")
        server.start()
        try:
            yield S3Hub(server, store, bucket)
            server.stop()
            log = server.log.read_text(errors="replace")
            assert "Traceback (most recent call last)" not in log, f"the hub logged a traceback:\n{log[-6000:]}"
        finally:
            server.kill()
    finally:
        os.environ.clear()
        os.environ.update(outer)
        shutil.rmtree(root, ignore_errors=True)
