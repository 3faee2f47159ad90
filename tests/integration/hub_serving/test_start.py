"""What an operator gets wrong is said in one line, and nothing is made that was not asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from tests.support import newer
from tests.support.postgres import Postgres, plain

pytestmark = pytest.mark.slow


def said(words: Sequence[str | Path], state_dir: Path, database: str = "") -> str:
    """The one line that a failing `ferryhub` ends with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FERRYHUB_")}
    env = {**kept, "FERRYHUB_DATABASE": database} if database else kept
    line = [sys.executable, "-m", "ferryhub", *map(str, words), "--state-dir", str(state_dir)]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


SERVE = ("serve", "--listen", "127.0.0.1:0")


def test_a_database_that_cannot_be_used(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database(empty=True)
    name = f"the hub's database '{url.database}' cannot be used: "
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/{url.database}"
        assert "Connection refused" in said(SERVE, tmp_path / "s", away).removeprefix(f"ferryhub: {name}")
    missing = plain(url.set(database="nobodys"))
    assert 'database "nobodys" does not exist' in said(("users", "list"), tmp_path / "s", missing)
    strange = plain(url.update_query_dict({"nonsense": "1"}))
    assert "nonsense" in said(("users", "list"), tmp_path / "s", strange)
    postgres.drop(url)


@pytest.mark.parametrize("words", [SERVE, ("users", "list")])
def test_a_database_that_is_not_in_utf8(postgres: Postgres, words: Sequence[str], tmp_path: Path) -> None:
    url = postgres.new_database(empty=True, encoding="SQL_ASCII")
    line = said(words, tmp_path / "s", plain(url))
    assert f"the hub's database '{url.database}' has the encoding SQL_ASCII and needs UTF8: " in line
    assert "ENCODING 'UTF8' TEMPLATE template0" in line
    postgres.drop(url)


def test_a_role_that_may_not_make_tables(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database(empty=True)
    with psycopg.connect(plain(url), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE guest_{os.getpid()} LOGIN".encode())
        guest = plain(url.set(username=f"guest_{os.getpid()}"))
        assert "its role must own the database" in said(SERVE, tmp_path / "s", guest)
        conn.execute(f"DROP ROLE guest_{os.getpid()}".encode())
    postgres.drop(url)


@pytest.mark.parametrize("text", ["", "mysql://u@h/n", "postgresql://u@h:port/n", "/var/lib/hub.db"])
def test_a_file_that_holds_no_address(text: str, tmp_path: Path) -> None:
    """It must not be a hub on SQLite that nobody wanted."""
    file = tmp_path / "database"
    file.write_text(text)
    assert "postgresql://USER@HOST/NAME" in said(("users", "list", "--database-file", file), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("command", ["verify", "backup"])
def test_nothing_to_verify_or_back_up(command: str, tmp_path: Path) -> None:
    words = [command, tmp_path / "backup"] if command == "backup" else [command]
    assert f"there is no hub in {tmp_path / 's'}" in said(words, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_catalogue_that_is_too_new(tmp_path: Path) -> None:
    """A newer release has taken away what this one needs."""
    state_dir = tmp_path / "s"
    program = newer.newer_program(tmp_path, least_head=newer.HEAD)
    subprocess.run([*program, "users", "list", "--state-dir", str(state_dir)], check=True)
    for words in (SERVE, ("users", "list"), ("backup", tmp_path / "backup")):
        assert f"the catalogue is at revision {newer.HEAD}, which this ferryhub" in said(words, state_dir)


def test_a_port_or_a_directory_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {address}" in said(("serve", "--listen", address), tmp_path / "s")
        assert f"cannot listen on {address} for metrics" in said((*SERVE, "--metrics", address), tmp_path / "s")
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in said(SERVE, tmp_path / "file")
