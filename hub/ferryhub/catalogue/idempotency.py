"""Makes creating calls repeatable: what a request id made is remembered in the transaction that made it.

Rows older than a day go with the sweep. Upload sessions have their own (see `upload_sessions`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.validation import MAX_REQUEST_ID, text
from ferrywire.reasons import FerryError

#: How long a request id is remembered: at least this.
REMEMBERED_US: Final = 24 * 3600 * 1_000_000

_SEEN = select(t.requests.c.method, t.requests.c.fingerprint, t.requests.c.result_id).where(
    t.requests.c.request_id == bindparam("request"), t.requests.c.principal_id == bindparam("me")
)
_REMEMBER = insert(t.requests)
_FORGET = delete(t.requests).where(t.requests.c.created_at < bindparam("before"))


@dataclass(frozen=True, slots=True)
class Request:
    """One creating call: its id (empty when the caller gave none), its method and everything it asked for."""

    request_id: str
    method: str
    arguments: Any

    def fingerprint(self) -> bytes:
        """A digest of method and arguments."""
        asked = json.dumps([self.method, self.arguments], sort_keys=True, default=str)
        return hashlib.sha256(asked.encode()).digest()


def once(conn: Connection, actor: Actor, request: Request, create: Callable[[], str]) -> str:
    """The id of what `create` makes, or of what the same request made before. Error: `REQUEST_ID_REUSED`."""
    text("request_id", request.request_id, longest=MAX_REQUEST_ID)
    if not request.request_id:
        return create()
    fingerprint = request.fingerprint()
    seen = conn.execute(_SEEN, {"request": request.request_id, "me": actor.principal_id}).first()
    if seen is None:
        return _remembered(conn, actor, request, create())
    if seen.fingerprint != fingerprint:
        raise FerryError(
            "REQUEST_ID_REUSED",
            f"the request id '{request.request_id}' was used for another {seen.method} already",
            requestId=request.request_id,
        )
    result_id: str = seen.result_id
    return result_id


def forget_old(conn: Connection, at_us: int) -> int:
    """Forget requests of more than a day ago; returns how many. Not part of a creating call: two would clash."""
    return conn.execute(_FORGET, {"before": at_us - REMEMBERED_US}).rowcount


def _remembered(conn: Connection, actor: Actor, request: Request, result_id: str) -> str:
    made = {"result_id": result_id, "created_at": now_us()}
    row = {"method": request.method, "fingerprint": request.fingerprint(), **made}
    conn.execute(_REMEMBER, {"request_id": request.request_id, "principal_id": actor.principal_id, **row})
    return result_id
