"""The hub's own secrets, made once and kept in the catalogue, so that every replica and every restart has the same."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Connection, insert, select

from ferryhub.catalogue import tables as t

#: Signs the URLs of the byte endpoints.
URL_SECRET: Final = "url_secret"
#: Seals page tokens.
PAGE_SECRET: Final = "page_secret"

SECRETS: Final = {URL_SECRET, PAGE_SECRET}

_ALL = select(t.settings)


def load_secrets(conn: Connection) -> dict[str, bytes]:
    """The secrets there are, by key."""
    return {row.key: bytes.fromhex(row.value) for row in conn.execute(_ALL) if row.key in SECRETS}


def make_secrets(conn: Connection) -> dict[str, bytes]:
    """The secrets, of which missing ones are made."""
    missing = SECRETS - load_secrets(conn).keys()
    if missing:
        conn.execute(insert(t.settings), [{"key": key, "value": secrets.token_hex(32)} for key in sorted(missing)])
    return load_secrets(conn)
