"""Several hubs on one PostgreSQL and one S3 store, behind a proxy that gives each connection to the next one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from ferryhub.catalogue import principals, tokens
from tests.support.hubs import HubServer
from tests.support.proxy import Proxy
from tests.support.s3 import S3Server

#: Longer than a hub takes to come back on a busy machine.
_KILLER_ENDS_S = 60.0


class RoundRobin(Proxy):
    """Gives each new connection to the next hub that takes it."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__("127.0.0.1", ports[0])
        self._ports = ports
        self._turns = count()
        #: Connections that each hub got.
        self.given = dict.fromkeys(ports, 0)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turns)
        for turn in range(len(self._ports)):
            port = self._ports[(first + turn) % len(self._ports)]
            self.target = ("127.0.0.1", port)
            try:
                joined = await super()._reach()
            except OSError:
                continue
            self.given[port] += 1
            return joined
        raise ConnectionRefusedError("no hub takes it")


class Fleet:
    """Started hubs and the proxy before them."""

    def __init__(self, hubs: Sequence[HubServer], proxy: RoundRobin, database: URL, bucket: str) -> None:
        self.hubs = hubs
        self.proxy = proxy
        self.bucket = bucket
        #: How often a hub was killed.
        self.kills = 0
        #: Held while a hub is down: who holds it has all of them.
        self.whole = threading.Lock()
        self._engine = create_engine(database, poolclass=NullPool)

    @property
    def url(self) -> str:
        return self.proxy.url

    def token(self, email: str, *scopes: str) -> str:
        """As `HubServer.token`, without a process of its own: many tests ask."""
        with self._engine.begin() as conn:
            chosen = scopes or ("read", "write")
            return tokens.create(conn, principals.ensure_by_email(conn, email), chosen).secret

    @contextmanager
    def dying(self, *, every_s: float) -> Iterator[threading.Event]:
        """Meanwhile, as long as the event is set that this gives, one hub after the other is killed and started again:
        the next one so many seconds after the last has come back."""
        over, on = threading.Event(), threading.Event()
        failures: list[BaseException] = []
        killer = threading.Thread(target=self._kill, args=(over, on, every_s, failures), name="killer")
        on.set()
        killer.start()
        try:
            yield on
        finally:
            over.set()
            on.set()
            killer.join(_KILLER_ENDS_S)
        assert not failures, failures

    def _kill(self, over: threading.Event, on: threading.Event, every_s: float, failures: list[BaseException]) -> None:
        try:
            while not over.wait(every_s) and on.wait() and not over.is_set():
                with self.whole:
                    victim = self.hubs[self.kills % len(self.hubs)]
                    victim.kill()
                    self.kills += 1
                    victim.start()
        except BaseException as error:  # noqa: BLE001 - a thread's: the test that waits for it says so
            failures.append(error)


def _each(servers: Sequence[HubServer], work: Callable[[HubServer], object]) -> None:
    """All at once."""
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(work, servers))


@contextmanager
def fleet(store: S3Server, database: URL, *options: str, hubs: int = 3) -> Iterator[Fleet]:
    """`hubs` started hubs, each with these `options`. Afterwards stopped; a traceback in a log is a failure."""
    root, bucket = Path(tempfile.mkdtemp(prefix="fyfleet")), store.bucket()
    words, env = ["--url-ttl", "600", *options], {**store.env, "HOME": str(root)}
    servers = [HubServer(root / f"hub{number}", *words, database=database, env=env) for number in range(hubs)]
    try:
        words = ["--bucket", bucket, "--endpoint", store.endpoint, "--prefix", "kept"]
        servers[0].command("storage", "add", "lake", "--s3", *words)
        servers[0].command("storage", "default", "lake")
        _each(servers, HubServer.start)
        with RoundRobin([server.port for server in servers]) as proxy:
            yield Fleet(servers, proxy, database, bucket)
        _each(servers, HubServer.stop)
        for server in servers:
            log = server.log.read_text(errors="replace")
            assert "Traceback (most recent call last)" not in log, f"a hub logged a traceback:\n{log[-6000:]}"
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(root, ignore_errors=True)
