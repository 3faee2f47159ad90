"""A hub with people who have passwords, and a daemon that signs in there: by code, approved over HTTP."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ferryman import AuthStatus, Client
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.signin import approve

EMAIL = "ada@example.org"
PASSWORD = "a long enough passphrase"
#: How long an access token lives where a test wants to see it end.
SHORT_TTL_S = 5
#: The same for signed URLs. Not so short that one ends on its way to the hub when the machine is busy.
SHORT_URL_TTL_S = 8


@contextmanager
def account_hub(*options: str) -> Iterator[HubServer]:
    """A hub where Ada has an account and devices may ask at once; `options` as in `HubServer`."""
    root = Path(tempfile.mkdtemp(prefix="fyhub"))
    server = HubServer(root / "hub", "--device-interval", "0", *options)
    try:
        server.add_user(EMAIL, PASSWORD)
        yield server.start()
        server.stop()
        log = server.log.read_text(errors="replace")
        assert "Traceback (most recent call last)" not in log, f"the hub logged a traceback:\n{log[-6000:]}"
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)


def login(client: Client, hub: HubServer, context: str | None = None) -> AuthStatus:
    """Sign in as Ada by a code."""
    return client.auth.login(
        hub.url,
        context=context,
        on_code=lambda code: approve(hub.url, code.user_code, EMAIL, PASSWORD),
        timeout_s=60,
    )


def refreshes(hub: HubServer) -> int:
    """How many refresh tokens the hub has exchanged for a new pair."""
    with closing(sqlite3.connect(f"file:{hub.state_dir / 'catalogue.db'}?mode=ro", uri=True)) as catalogue:
        (count,) = catalogue.execute("SELECT count(*) FROM refresh_tokens WHERE parent_sha256 IS NOT NULL").fetchone()
    return int(count)


def renewals_of(hub: HubServer, refresh_token: str) -> int:
    """How many pairs the hub has given for this one refresh token."""
    with closing(sqlite3.connect(f"file:{hub.state_dir / 'catalogue.db'}?mode=ro", uri=True)) as catalogue:
        sha256 = hashlib.sha256(refresh_token.encode()).digest()
        query = "SELECT count(*) FROM refresh_tokens WHERE parent_sha256 = ?"
        (count,) = catalogue.execute(query, (sha256,)).fetchone()
    return int(count)


def kept(home: Home, context: str = "") -> dict[str, Any]:
    """What the daemon keeps of the sign-in of this context; of the only one when none is named."""
    whole = json.loads(token_file(home).read_text())["tokens"]
    (found,) = (one for key, one in whole.items() if not context or key.partition(" ")[0] == context)
    assert isinstance(found, dict)
    return found


def token_file(home: Home) -> Path:
    """Where the daemon keeps its tokens."""
    return home.state_dir / "tokens.json"


def secrets(home: Home) -> set[str]:
    """Every access and refresh token that the daemon keeps."""
    if not token_file(home).exists():
        return set()
    kept = json.loads(token_file(home).read_text())["tokens"].values()
    return {one[name] for one in kept for name in ("access_token", "refresh_token") if one[name]}
