"""The hub's OAuth endpoints: device authorization (RFC 8628), tokens, renewal, revocation (RFC 7009). One try each.

What a hub answers is shown to people and kept as a secret, so nothing of it is taken unchecked.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ferryd.auth.tokens import Tokens
from ferryd.core.retry_after import retry_after_s
from ferrywire.reasons import FerryError

_CLIENT: Final = "ferryman"
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_TIMEOUT_S: Final = 20.0
_TOKEN: Final = re.compile(r"[!-~]{8,4096}")
_USER_CODE: Final = re.compile(r"[A-Za-z0-9-]{4,32}")
_URL: Final = re.compile(r"https?://[!-~]{1,2000}")
_ERROR: Final = re.compile(r"[a-z_]{1,40}")
_SCOPE: Final = re.compile(r"[!-~]{0,1000}(?: [!-~]{1,1000}){0,9}")
#: No answer of these endpoints is larger; what is kept of one must not fill the file of tokens.
_MAX_BYTES: Final = 64 << 10
_DAY_S: Final = 86_400.0


class FormPoster(Protocol):
    """Posts a form to a path of one hub."""

    async def post_form(
        self, path: str, fields: Mapping[str, str], timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers with names in lower case, body. HUB_UNREACHABLE, DEADLINE_EXCEEDED, TOO_LARGE."""


class Refused(Exception):
    """The hub answered with an error of OAuth, such as `authorization_pending` or `invalid_grant`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """A sign-in that waits for its approval. Times are seconds from now."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in_s: float
    interval_s: float


class OAuth:
    """The endpoints of one hub; `hub` is its address, for messages. All methods: HUB_UNREACHABLE, also for answers that
    are not the hub's, HUB_OVERLOADED, RATE_LIMITED, and `Refused`."""

    def __init__(self, http: FormPoster, hub: str) -> None:
        self._http = http
        self._hub = hub

    async def begin(self, scopes: Sequence[str]) -> DeviceGrant:
        """Ask for a code. UNIMPLEMENTED for a hub without sign-in by code."""
        fields = {"client_id": _CLIENT, "scope": " ".join(scopes)}
        reply = await self._post("/oauth/device_authorization", fields, first=True)
        complete = reply.get("verification_uri_complete", "")
        return DeviceGrant(
            device_code=self._match(reply, "device_code", _TOKEN),
            user_code=self._match(reply, "user_code", _USER_CODE),
            verification_uri=self._match(reply, "verification_uri", _URL),
            verification_uri_complete=complete if isinstance(complete, str) and _URL.fullmatch(complete) else "",
            expires_in_s=self._seconds(reply, "expires_in", 600.0),
            interval_s=self._seconds(reply, "interval", 5.0),
        )

    async def exchange(self, device_code: str) -> Tokens:
        """The tokens of an approved code. Refused: `authorization_pending`, `slow_down`, `access_denied`,
        `expired_token`."""
        return await self._tokens({"grant_type": _DEVICE_GRANT, "device_code": device_code})

    async def refresh(self, refresh_token: str) -> Tokens:
        """A new pair; the old one is spent, unless the hub names no other. Refused: `invalid_grant`."""
        fresh = await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})
        return replace(fresh, refresh_token=fresh.refresh_token or refresh_token)

    async def revoke(self, token: str) -> None:
        """Make a token, and what was made from it, worthless."""
        await self._post("/oauth/revoke", {"client_id": _CLIENT, "token": token, "token_type_hint": "refresh_token"})

    async def _tokens(self, fields: dict[str, str]) -> Tokens:
        asked_at = time.time()
        reply = await self._post("/oauth/token", fields | {"client_id": _CLIENT})
        if str(reply.get("token_type", "")).lower() != "bearer":
            raise self._senseless("a token of an unknown type")
        lifetime_s = self._seconds(reply, "expires_in", 0.0) or None
        return Tokens(
            access_token=self._match(reply, "access_token", _TOKEN),
            refresh_token=self._match(reply, "refresh_token", _TOKEN) if reply.get("refresh_token") else "",
            lifetime_s=lifetime_s,
            expires_at=asked_at + lifetime_s if lifetime_s else None,
            scopes=tuple(self._match(reply, "scope", _SCOPE).split()) if reply.get("scope") else (),
        )

    async def _post(self, path: str, fields: Mapping[str, str], *, first: bool = False) -> dict[str, Any]:
        """What the hub says. A hub that has answered the `first` request of a sign-in has the others, too."""
        try:
            status, headers, body = await self._http.post_form(path, fields, _TIMEOUT_S)
        except FerryError as error:
            if error.reason == "TOO_LARGE":
                raise self._senseless("far too much") from error
            if error.reason != "DEADLINE_EXCEEDED":
                raise
            raise FerryError("HUB_UNREACHABLE", f"{self._hub} did not answer in time", hub=self._hub) from error
        if status == 429 or status >= 500:
            reason = "RATE_LIMITED" if status == 429 else "HUB_OVERLOADED"
            delay_s = retry_after_s(headers.get("retry-after"), time.time())
            raise FerryError(reason, f"{self._hub} answered with status {status}", retry_after_s=delay_s)
        said = _object(body)
        if status == 200 and (said is not None or not body):
            return said or {}
        error_code = (said or {}).get("error")
        if isinstance(error_code, str) and _ERROR.fullmatch(error_code):
            raise Refused(error_code)
        if first and status in (404, 405):
            message = f"this is no Ferryman hub: {self._hub} (if it is, without sign-in by code: sign in with a token)"
            raise FerryError("UNIMPLEMENTED", message)
        raise self._senseless(f"status {status}")

    def _match(self, reply: Mapping[str, Any], name: str, wanted: re.Pattern[str]) -> str:
        value = reply.get(name)
        if not isinstance(value, str) or not wanted.fullmatch(value):
            raise self._senseless(f"no {name} that makes sense")
        return value

    def _seconds(self, reply: Mapping[str, Any], name: str, default: float) -> float:
        value = reply.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3650 * _DAY_S:
            raise self._senseless(f"no {name} that makes sense")
        return float(value)

    def _senseless(self, what: str) -> FerryError:
        message = f"{self._hub} answered the sign-in with {what}: is it the hub, or a proxy or sign-in page before it?"
        return FerryError("HUB_UNREACHABLE", message, hub=self._hub)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body) if len(body) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
