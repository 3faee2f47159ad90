"""What all replicas and restarts have in common: the hub's secrets, made once, and who can use the tables.

Kept in the catalogue. Part of no upload step.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from ferryhub.catalogue import tables as t

#: Signs the URLs of the byte endpoints.
URL_SECRET: Final = "url_secret"
#: Seals page tokens.
PAGE_SECRET: Final = "page_secret"

SECRETS: Final = {URL_SECRET, PAGE_SECRET}

_LEAST_HEAD: Final = "least_head"

_ALL = select(t.settings)
_LEAST = select(t.settings.c.value).where(t.settings.c.key == _LEAST_HEAD)


def load_secrets(conn: Connection) -> dict[str, bytes]:
    """The secrets there are, by key."""
    return {row.key: bytes.fromhex(row.value) for row in conn.execute(_ALL) if row.key in SECRETS}


def make_secrets(conn: Connection) -> dict[str, bytes]:
    """The secrets, of which missing ones are made."""
    missing = SECRETS - load_secrets(conn).keys()
    if missing:
        conn.execute(insert(t.settings), [{"key": key, "value": secrets.token_hex(32)} for key in sorted(missing)])
    return load_secrets(conn)


def owner_name(conn: Connection) -> str:
    """What tells this catalogue from others where hubs of both may come, such as in a bucket. No secret."""
    return hashlib.sha256(b"owner" + load_secrets(conn)[URL_SECRET]).hexdigest()[:32]


def least_head(conn: Connection) -> str | None:
    """The `schema.HEAD` that a release must have at least to use the tables; None if nobody has said so yet."""
    found: str | None = conn.execute(_LEAST).scalar()
    return found


def set_least_head(conn: Connection, head: str) -> None:
    """Say it: whoever has just made or migrated the tables."""
    conn.execute(delete(t.settings).where(t.settings.c.key == _LEAST_HEAD))
    conn.execute(insert(t.settings), {"key": _LEAST_HEAD, "value": head})
