"""Who somebody is on this hub whom an OpenID provider vouches for; and browsers that are on their way there.

A link is made at the first sign-in, by a verified e-mail address, and holds from then on whatever the address becomes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from ferryhub.catalogue import principals
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import provider_links, provider_visits
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.tokens import digest
from ferryhub.catalogue.validation import MAX_NAME
from ferrywire.reasons import FerryError

_l, _v = provider_links.c, provider_visits.c
_LINKED = (
    select(t.principals)
    .join_from(provider_links, t.principals)
    .where(_l.issuer == bindparam("issuer"), _l.subject == bindparam("subject"))
)
_OTHER: Final = select(_l.subject).where(_l.issuer == bindparam("issuer"), _l.principal_id == bindparam("key"))
_LINK = insert(provider_links)
_UNLINK = delete(provider_links).where(_l.principal_id == bindparam("key"))
_LEAVE = insert(provider_visits)
_RETURN = delete(provider_visits).where(_v.sha256 == bindparam("key"), _v.expires_at > bindparam("now"))


class NotWelcome(Exception):
    """Somebody whom the provider knows and this hub does not let in. `why` is a word for page and log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, repr=False)
class Claimed:
    """Who somebody is at the provider, of which every word was verified."""

    issuer: str
    subject: str
    #: Empty unless the provider has verified that it is theirs.
    email: str
    display_name: str


def principal_of(conn: Connection, claimed: Claimed, *, new_in: Collection[str]) -> str:
    """The id of the user this is, who is linked or made when new and the address is in one of the domains `new_in`.

    Error: `NotWelcome`.
    """
    row = conn.execute(_LINKED, {"issuer": claimed.issuer, "subject": claimed.subject}).first()
    row = row or _newcomer(conn, claimed, new_in)
    if row.disabled:
        raise NotWelcome("disabled")
    principal_id: str = row.id
    return principal_id


def unlink(conn: Connection, key: str) -> bool:
    """Forget who a user is at any provider; the next sign-in links anew. Error: `PRINCIPAL_NOT_FOUND`."""
    return conn.execute(_UNLINK, {"key": principals.find(conn, key).id}).rowcount > 0


def leave(conn: Connection, secret: str, *, expires_at: int) -> None:
    """A browser with this secret in its cookie goes to the provider."""
    conn.execute(_LEAVE, {"sha256": digest(secret), "expires_at": expires_at, "created_at": now_us()})


def came_back(conn: Connection, secret: str) -> bool:
    """Whether a browser may come back now; nobody can twice."""
    return conn.execute(_RETURN, {"key": digest(secret), "now": now_us()}).rowcount == 1


def _newcomer(conn: Connection, claimed: Claimed, new_in: Collection[str]) -> Row[Any]:
    address = claimed.email.lower()
    # Beyond ASCII some letters become others in lower case, and so one person's address another's.
    if not address or not claimed.email.isascii():
        raise NotWelcome("unverified")
    row = _user(conn, address)
    if row is None and address.rpartition("@")[2] in new_in:
        row = principals.find(conn, _add(conn, address, claimed.display_name))
    if row is None:
        raise NotWelcome("unknown")
    # The provider gave the address to somebody else since: what the first one has here is not theirs.
    if conn.execute(_OTHER, {"issuer": claimed.issuer, "key": row.id}).first() is not None:
        raise NotWelcome("taken")
    link = {"issuer": claimed.issuer, "subject": claimed.subject, "principal_id": row.id, "created_at": now_us()}
    conn.execute(_LINK, link)
    return row


def _user(conn: Connection, address: str) -> Row[Any] | None:
    try:
        row = principals.find(conn, address)
    except FerryError:
        return None
    return row if row.kind == "user" and row.email == address else None


def _add(conn: Connection, address: str, display_name: str) -> str:
    try:
        return principals.add(conn, "user", address, display_name=display_name.replace("\0", "")[:MAX_NAME])
    except FerryError as error:
        raise NotWelcome("unverified") from error
