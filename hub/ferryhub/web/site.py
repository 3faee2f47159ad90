"""The hub's pages and OAuth endpoints as one ASGI app. Loaded by `ferryhub serve` only: an embedded hub has neither."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ferryhub.auth import passwords
from ferryhub.auth.options import AuthOptions
from ferryhub.auth.service import Accounts
from ferryhub.catalogue.database import Database
from ferryhub.web import http
from ferryhub.web.device import DevicePage
from ferryhub.web.http import Receive, Request, Response, Scope, Send
from ferryhub.web.oauth import PREFIX, OAuthEndpoints
from ferryhub.web.seal import FormSeal

_log = logging.getLogger(__name__)


class Site:
    """Answers what is below `/oauth/`, and `/device`."""

    def __init__(self, accounts: Accounts, *, seal: FormSeal, public_url: str) -> None:
        self._oauth = OAuthEndpoints(accounts, public_url)
        self._device = DevicePage(accounts, seal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(await http.read(scope, receive))
        except http.Disconnected:
            return
        except http.BadRequest as error:
            response = http.json_response(400, {"error": "invalid_request", "error_description": str(error)})
        except Exception as error:  # noqa: BLE001 - the edge: nothing unknown may show its text to the network
            error_id = secrets.token_hex(6)
            _log.error("web_request_failed path=%s error_id=%s", scope["path"], error_id, exc_info=error)
            response = http.text_response(500, f"something went wrong inside the hub; its log has error {error_id}")
        await http.send_response(scope, send, response)

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            return await self._oauth(request)
        return await self._device(request)


@asynccontextmanager
async def open_site(
    database: Database, options: AuthOptions, forget: Callable[[], None], *, hub_secret: bytes, public_url: str
) -> AsyncIterator[Site]:
    """A site that is ready to answer. `forget` is called when what is known of tokens may be out of date."""
    accounts = Accounts(database, options, forget)
    try:
        await asyncio.to_thread(passwords.warm_up)
        yield Site(accounts, seal=FormSeal(hub_secret), public_url=public_url)
    finally:
        accounts.close()
