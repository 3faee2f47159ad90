"""What the daemon reports of itself: who is signed in, the hubs it knows, its limits and its counters.

Frozen dataclasses of plain Python values, as in `types.py`. Nothing here knows protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuthStatus:
    """Who the daemon is signed in as.

    `expires_at` is None for a token that does not expire; the daemon renews one that does, where it can. `hub` is the
    hub's address, `embedded` for the one inside the daemon; `context` the name it has here. `scopes` are what the token
    may do (`read`, `write`, `admin`), `storage` is where it is kept: `file`, `keyring`, `environment` (FERRYMAN_TOKEN)
    or `none` (the embedded hub needs none).
    """

    user_email: str
    user_id: str
    expires_at: datetime | None
    hub: str
    context: str = ""
    scopes: list[str] = field(default_factory=list)
    storage: str = ""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What to show to a user who signs in.

    `verification_uri` is the page to open, on any device, and `user_code` what to type in there;
    `verification_uri_complete` is the page with the code in it, for links and QR codes (may be empty).
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """A hub that the daemon knows: its `name` here, and the `hub`'s address (`embedded` for the one inside the daemon).

    Calls that name no context go to the one that is `current`. `signed_in` says that there is a token, which the hub
    may have revoked meanwhile; `user_email` is from the last login, empty when unknown.
    """

    name: str
    hub: str
    current: bool
    signed_in: bool
    user_email: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What all transfers of the daemon share.

    `bandwidth_bps` is bytes per second, 0 for unlimited. So many transfers run at once (`running_transfers`), and so
    many parts move at once (`parts_in_flight`).
    """

    bandwidth_bps: int
    running_transfers: int
    parts_in_flight: int


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """What the daemon is and where it keeps things. `draining` is True while it refuses new transfers."""

    version: str
    pid: int
    hub: str
    state_dir: str
    socket_path: str
    started_at: datetime | None
    draining: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters since the daemon's process started; `transfers` counts them by state now."""

    transfers: dict[str, int]
    sent_bytes: int
    received_bytes: int
    retried_parts: int
    forwarded_calls: int
    watchers: int
    resident_bytes: int
    open_files: int
    loop_lag_s: float
    cpu_s: float
