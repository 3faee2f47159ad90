"""Who a token belongs to, as the hub tells. Not a step; for signing in and for the sign-in's status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from ferryapi.hub.v1 import access_service_pb2 as pb
from ferryd.remote.convert import senseless

_METHOD: Final = "/ferryapi.hub.v1.AccessService/GetIdentity"
_TIMEOUT_S: Final = 20.0
_EMAIL_CHARACTERS: Final = 320  #: longer ones there are not; it is kept in a small file


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal of a hub, and what the token may do. `expires_at` is in seconds since the epoch; None for never."""

    user_id: str
    user_email: str
    scopes: tuple[str, ...]
    expires_at: float | None


async def get_identity(call: Callable[[str, bytes, float], Awaitable[bytes]]) -> Identity:
    """Ask the hub. Raises what `call` raises."""
    body = await call(_METHOD, pb.GetIdentityRequest().SerializeToString(), _TIMEOUT_S)
    try:
        found = pb.Identity.FromString(body)
    except DecodeError:
        raise senseless("something that is no Identity; update the daemon") from None
    expires_at = found.expire_time.ToNanoseconds() / 1e9 if found.HasField("expire_time") else None
    return Identity(found.principal_id, found.email[:_EMAIL_CHARACTERS], tuple(found.scopes), expires_at)
