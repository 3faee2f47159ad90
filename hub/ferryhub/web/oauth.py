"""The OAuth endpoints over HTTP: form in, JSON out, never cached. The protocol is `ferryhub.auth.oauth`'s."""

from __future__ import annotations

import math

from ferryhub.auth.oauth import Call
from ferryhub.auth.service import Accounts
from ferryhub.logs import refused
from ferryhub.web.http import Request, Response, json_response
from ferrywire.reasons import FerryError

PREFIX = "/oauth/"


class OAuthEndpoints:
    """Serves everything below `/oauth/`. `public_url` is the hub's address for its users; empty: as they call it."""

    def __init__(self, accounts: Accounts, public_url: str) -> None:
        self._public_url = public_url.rstrip("/")
        self._endpoints = {
            "/oauth/device_authorization": accounts.device_authorization,
            "/oauth/token": accounts.token,
            "/oauth/revoke": accounts.revoke,
        }

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return json_response(404, {"error": "invalid_request", "error_description": "there is no such endpoint"})
        if request.method != "POST":
            return json_response(405, {"error": "invalid_request", "error_description": "use POST"}, allow="POST")
        call = Call(request.form, self._public_url or request.origin, request.address)
        try:
            reply = await endpoint(call)
        except FerryError as error:
            return _refusal(error)
        return json_response(reply.status, reply.body)


def _refusal(error: FerryError) -> Response:
    """A limit or a busy hub; RFC 6749 has no word of its own for either."""
    refused(error.reason)
    if error.reason != "RATE_LIMITED":
        status, word = 503, "temporarily_unavailable"
    else:
        status, word = 429, "slow_down"
    wait_s = str(math.ceil(error.retry_after_s or 1.0))
    return json_response(status, {"error": word, "error_description": error.message}, retry_after=wait_s)
