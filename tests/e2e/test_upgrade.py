"""A new release under traffic: hubs of both on one PostgreSQL while each is replaced, and nobody notices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from ferryman import Client
from tests.support import newer
from tests.support.files import MIB, make_file, same_bytes
from tests.support.fleet import fleet
from tests.support.home import Home
from tests.support.postgres import Postgres, plain
from tests.support.s3 import S3Server
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def url(postgres: Postgres) -> Iterator[URL]:
    """A database of its own: its tables do not stay as they are."""
    made = postgres.new_database()
    yield made
    postgres.drop(made)


def _revision(url: URL) -> str:
    with psycopg.connect(plain(url)) as conn:
        [found] = conn.execute("SELECT version_num FROM alembic_version").fetchone() or [""]
    return str(found)


class Traffic:
    """Uploads and downloads one after the other, until it is over. What fails ends it and fails the test."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.assets: list[str] = []
        self._over = threading.Event()
        self._failures: list[BaseException] = []

    def more(self, count: int = 2) -> None:
        """Wait until so many more have come and gone."""
        seen = len(self.assets)
        wait_for(lambda: self._failures or len(self.assets) >= seen + count, timeout_s=120, what="traffic")
        assert not self._failures, self._failures

    @contextmanager
    def running(self, client: Client, project: str) -> Iterator[None]:
        thread = threading.Thread(target=self._run, args=(lambda: self._once(client, project),), name="traffic")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(120)
        assert not self._failures, self._failures

    def _run(self, once: Callable[[], None]) -> None:
        try:
            while not self._over.is_set():
                once()
        except BaseException as error:  # noqa: BLE001 - a thread's: the test says so
            self._failures.append(error)

    def _once(self, client: Client, project: str) -> None:
        number = len(self.assets)
        path = make_file(self._home.data / f"run{number}", 5 * MIB + number, seed=number)
        made = client.upload(path, title=path.name, owner_type="project", owner_id=project)
        [got] = client.download(made.asset_id, self._home.root / f"dl{number}").files
        assert same_bytes(path, Path(got.local_path))
        client.set_metadata(made.asset_id, metadata={"run": number})
        assert made.asset_id in {asset.asset_id for asset in client.assets.list(project=project)}
        self.assets.append(made.asset_id)


def test_nobody_notices_a_new_release(
    weed_server: S3Server, url: URL, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fleet(weed_server, url, "--drain-delay", "1", hubs=2) as hubs:
        monkeypatch.setenv("FERRYMAN_HUB", hubs.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", hubs.token("me@x.org"))
        first, second = hubs.hubs
        new = newer.newer_program(tmp_path)
        traffic = Traffic(home)
        with Client() as client, traffic.running(client, client.create_project("P").project_id):
            traffic.more()
            first.stop()
            first.program = new
            first.start()
            assert _revision(url) == newer.HEAD
            traffic.more()  # at one of each
            second.kill()
            second.start()  # one of the old that begins again, as after a crash
            traffic.more()
            second.stop()
            second.program = new
            second.start()
            traffic.more()
        assert all(hubs.proxy.given.values()), hubs.proxy.given
        assert _revision(url) == newer.HEAD
