"""Device codes (RFC 8628): a device waits with a secret code while somebody approves the short one that it shows.

Both are kept as SHA-256. A device code gives tokens once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from ferryhub.auth.options import SECOND_US
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import device_codes
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.tokens import digest

#: Letters that nobody confuses and that spell no words: no vowels, no digits.
_USER_CODE: Final = re.compile(r"[BCDFGHJKLMNPQRSTVWXZ]{8}")
#: RFC 8628 3.5: who asks too early must wait so much longer from then on.
_SLOW_DOWN_S: Final = 5

_c = device_codes.c
_INSERT = insert(device_codes)
_BY_DEVICE = select(device_codes).where(_c.sha256 == bindparam("sha256"), _c.state != "used")
_WAITING = select(device_codes).where(
    _c.user_code_sha256 == bindparam("sha256"), _c.state == "pending", _c.expires_at > bindparam("now")
)
_POLLED = (
    update(device_codes)
    .where(_c.sha256 == bindparam("key"))
    .values(polled_at=bindparam("now"), interval_s=bindparam("interval"))
)
_DECIDE = (
    update(device_codes)
    .where(_c.user_code_sha256 == bindparam("key"), _c.state == "pending", _c.expires_at > bindparam("now"))
    .values(state=bindparam("decision"), principal_id=bindparam("who"))
)
_USE = update(device_codes).where(_c.sha256 == bindparam("key"), _c.state == "approved").values(state="used")
_ACTIVE = select(t.principals.c.id).where(t.principals.c.id == bindparam("key"), t.principals.c.disabled.is_(False))


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that asks to be signed in."""

    device_code: str
    user_code: str
    client_id: str
    scopes: str
    address: str
    ttl_s: float
    interval_s: int


def add(conn: Connection, new: NewDevice) -> None:
    """Let a device wait."""
    now = now_us()
    codes = {"sha256": digest(new.device_code), "user_code_sha256": digest(normalized(new.user_code))}
    asked = {"client_id": new.client_id, "scopes": new.scopes, "address": new.address, "state": "pending"}
    times = {"created_at": now, "polled_at": 0, "expires_at": now + int(new.ttl_s * SECOND_US)}
    conn.execute(_INSERT, {**codes, **asked, **times, "interval_s": new.interval_s})


def by_device_code(conn: Connection, device_code: str) -> Row[Any] | None:
    """The row of a device that waits, or whose answer it has not fetched yet; also when it is too late."""
    return conn.execute(_BY_DEVICE, {"sha256": digest(device_code)}).first()


def waiting(conn: Connection, user_code: str) -> Row[Any] | None:
    """The row of the device that shows this code and waits for an answer."""
    return conn.execute(_WAITING, {"sha256": digest(normalized(user_code)), "now": now_us()}).first()


def decide(conn: Connection, user_code: str, principal_id: str, *, approve: bool) -> bool:
    """Approve or deny, once. False when no device waits with this code."""
    answer = {"decision": "approved" if approve else "denied", "who": principal_id}
    this = {"key": digest(normalized(user_code)), "now": now_us()}
    return conn.execute(_DECIDE, {**this, **answer}).rowcount == 1


def polls_too_soon(conn: Connection, device: Row[Any]) -> bool:
    """Whether a device asked again before its interval was over, which then becomes longer."""
    now = now_us()
    # A tenth less, since the network does not deliver two requests as far apart as they were sent.
    too_soon: bool = now - device.polled_at < device.interval_s * SECOND_US * 9 // 10
    interval_s = device.interval_s + (_SLOW_DOWN_S if too_soon else 0)
    conn.execute(_POLLED, {"key": device.sha256, "now": now, "interval": interval_s})
    return too_soon


def use(conn: Connection, device: Row[Any]) -> bool:
    """Take an approved code, which nobody can do twice. False also when who approved it was shut out since."""
    if conn.execute(_ACTIVE, {"key": device.principal_id}).first() is None:
        return False
    return conn.execute(_USE, {"key": device.sha256}).rowcount == 1


def normalized(user_code: str) -> str:
    """A code as people type it, in the form in which it was made: capitals, one dash; empty for nonsense."""
    letters = "".join(each for each in user_code[:40].upper() if each not in " -_.\t")
    return f"{letters[:4]}-{letters[4:]}" if _USER_CODE.fullmatch(letters) else ""
