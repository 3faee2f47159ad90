"""Who calls: the principal and what its token may do. Made by the edge, taken by every domain function.

No database here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ferrywire.reasons import FerryError

#: Everything a token can be allowed. `admin` includes the others.
SCOPES: Final = ("read", "write", "admin")
ALL_SCOPES: Final = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of one request."""

    principal_id: str
    email: str
    scopes: frozenset[str]
    #: When the token expires, in microseconds since the epoch; None when it does not.
    expires_at: int | None = None


def require_scope(actor: Actor, scope: str) -> None:
    """Let the call pass when the token has the scope; else `SCOPE_DENIED`."""
    if scope not in actor.scopes and "admin" not in actor.scopes:
        raise FerryError("SCOPE_DENIED", f"the token may not {scope}: it needs the scope '{scope}'", scope=scope)
