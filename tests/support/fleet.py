"""Several hubs on one PostgreSQL and one S3 store, behind a proxy that gives each connection to the next one."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import URL

from tests.support.hubs import HubServer
from tests.support.proxy import Proxy
from tests.support.s3 import S3Server


class RoundRobin(Proxy):
    """Gives each new connection to the next hub that takes it."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__("127.0.0.1", ports[0])
        self._ports = ports
        self._turns = count()
        #: Connections that each hub got.
        self.given = dict.fromkeys(ports, 0)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for turn in range(len(self._ports)):
            port = self._ports[(first + turn) % len(self._ports)]
            try:
                _, probe = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            probe.close()
            self.target = ("127.0.0.1", port)
            self.given[port] += 1
            await super()._join(reader, writer)
            return


class Fleet:
    """Started hubs and the proxy before them."""

    def __init__(self, hubs: Sequence[HubServer], proxy: RoundRobin) -> None:
        self.hubs = hubs
        self.proxy = proxy
        #: How often a hub was killed.
        self.kills = 0

    @property
    def url(self) -> str:
        return self.proxy.url

    def token(self, email: str) -> str:
        return self.hubs[0].token(email)

    @contextmanager
    def dying(self, *, every_s: float) -> Iterator[None]:
        """Meanwhile one hub after the other is killed and started again."""
        over = threading.Event()
        failures: list[BaseException] = []
        killer = threading.Thread(target=self._kill, args=(over, every_s, failures), name="killer")
        killer.start()
        try:
            yield
        finally:
            over.set()
            killer.join(60)
        assert not failures, failures

    def _kill(self, over: threading.Event, every_s: float, failures: list[BaseException]) -> None:
        try:
            while not over.wait(every_s):
                victim = self.hubs[self.kills % len(self.hubs)]
                victim.kill()
                self.kills += 1
                victim.start()
        except BaseException as error:  # noqa: BLE001 - a thread's: the test that waits for it says so
            failures.append(error)


@contextmanager
def fleet(store: S3Server, database: URL, *options: str, hubs: int = 3) -> Iterator[Fleet]:
    """`hubs` started hubs, each with these `options`. Afterwards stopped; a traceback in a log is a failure."""
    root = Path(tempfile.mkdtemp(prefix="fyfleet"))
    outer = dict(os.environ)
    os.environ.update(store.env)
    words = ["--url-ttl", "600", *options]
    servers = [HubServer(root / f"hub{number}", *words, database=database) for number in range(hubs)]
    try:
        words = ["--bucket", store.bucket(), "--endpoint", store.endpoint, "--prefix", "kept"]
        servers[0].command("storage", "add", "lake", "--s3", *words)
        servers[0].command("storage", "default", "lake")
        for server in servers:
            server.start()
        with RoundRobin([server.port for server in servers]) as proxy:
            yield Fleet(servers, proxy)
        for server in servers:
            server.stop()
            log = server.log.read_text(errors="replace")
            assert "Traceback (most recent call last)" not in log, f"a hub logged a traceback:\n{log[-6000:]}"
    finally:
        for server in servers:
            server.kill()
        os.environ.clear()
        os.environ.update(outer)
        shutil.rmtree(root, ignore_errors=True)
