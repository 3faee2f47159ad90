"""A hub in a process of its own, as an institution would run it, with tokens for as many people as a test needs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
from sqlalchemy import URL, Connection

from ferryhub.app import open_catalogue
from ferryhub.auth import passwords
from ferryhub.catalogue import principals
from ferryhub.config import HubSettings
from tests.support.ports import free_port
from tests.support.postgres import plain
from tests.support.waiting import wait_for

#: More than it gives to requests that still run, on a busy machine.
STOP_TIMEOUT_S = 60.0


class HubServer:
    """`ferryhub serve` on a free port. Stop and start keep its state and its port, so that a daemon finds it again."""

    def __init__(
        self, state_dir: Path, *options: str, database: URL | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """`options` are more words for `ferryhub serve`, such as `--tls-cert`; `database` is one of PostgreSQL; `env`
        are more variables."""
        self.state_dir = state_dir
        self._options = options
        #: What is run as `ferryhub`.
        self.program = [sys.executable, "-m", "ferryhub"]
        self.database = database
        self._env = {**_env(database), **(env or {})}
        self.log = state_dir.with_name(state_dir.name + ".log")
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers."""
        listen = f"127.0.0.1:{self.port if self.url else free_port()}"
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, "serve", "--listen", listen, "--state-dir", str(self.state_dir), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
            )
        self.url = wait_for(lambda: self._announced(seen), what=f"ferryhub to say where it listens ({self.log})")
        return self

    def stop(self) -> None:
        """SIGTERM, as systemd would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"ferryhub did not stop within {STOP_TIMEOUT_S:g} s of SIGTERM") from None
        self._process = None

    def interrupt(self) -> None:
        """SIGTERM; returns when the hub has begun to stop."""
        assert self._process is not None
        self._process.terminate()
        wait_for(lambda: b"Shutting down" in self.log.read_bytes(), what=f"ferryhub to begin to stop ({self.log})")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def token(self, email: str, *scopes: str) -> str:
        """A new token for this person, who is made when new. All scopes unless some are named."""
        chosen = [word for scope in scopes for word in ("--scope", scope)]
        stdout = self.command("token", "create", "--email", email, *chosen)
        match = re.search(r"fat_[A-Za-z0-9_-]{43}", stdout)
        assert match, f"no token in {stdout!r}"
        return match[0]

    def add_user(self, email: str, password: str) -> str:
        """A new user who can sign in; returns the id."""
        return self.command("users", "add", email, "--password-stdin", stdin=f"{password}\n").strip()

    def add_people(self, password: str, *emails: str) -> None:
        """New users with one password, as `add_user` makes them, but all at once and in this process."""
        asyncio.run(self._add_people(password, emails))

    async def _add_people(self, password: str, emails: tuple[str, ...]) -> None:
        url = "" if self.database is None else self.database.render_as_string(hide_password=False)
        hashed = passwords.hashed(password)

        def add(conn: Connection) -> None:
            for email in emails:
                principals.add(conn, "user", email)
                passwords.set_password(conn, email, hashed)

        async with open_catalogue(HubSettings(state_dir=self.state_dir, database_url=url)) as (database, _):
            await database.write(add)

    def command(self, *words: str, stdin: str = "") -> str:
        """Run another `ferryhub` command on this hub's state directory; returns what it prints."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The same for a command that may fail."""
        command = [*self.program, *words, "--state-dir", str(self.state_dir)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=self._env)

    def _announced(self, offset: int) -> str:
        assert self._process is not None
        text = self.log.read_bytes()[offset:].decode(errors="replace")
        assert self._process.poll() is None, f"ferryhub ended with {self._process.returncode}:\n{text}"
        match = re.search(r"listening on (https?://127\.0\.0\.1:[1-9]\d*)", text)
        return match[1] if match else ""


def _env(database: URL | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "FERRYHUB_"))}
    return kept if database is None else {**kept, "FERRYHUB_DATABASE": plain(database)}


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    """A hub process of its own, started. Afterwards stopped; a traceback in its log is a failure."""
    root = Path(tempfile.mkdtemp(prefix="fyhub"))
    server = HubServer(root / "hub").start()
    try:
        yield server
        server.stop()
        log = server.log.read_text(errors="replace")
        assert "Traceback (most recent call last)" not in log, f"the hub logged a traceback:\n{log[-6000:]}"
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
